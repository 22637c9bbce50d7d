"""How many requests of a kind are answered at once: one kind never takes another one's place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from instar.serving.mistakes import TooMany

MOST: Mapping[str, int] = {"predict": 2048, "control": 64, "admin": 1}


class Lanes:
    """Count who is in which lane.

    Example:
        >>> lanes = Lanes({"admin": 1})
        >>> leave = lanes.enter("admin")
        >>> lanes.enter("admin")
        Traceback (most recent call last):
        instar.serving.mistakes.TooMany: wanted at most 1 requests at once (admin); ...
        >>> leave()
        >>> leave = lanes.enter("admin")
    """

    def __init__(self, most: Mapping[str, int] = MOST) -> None:
        self._most = most
        self._inside: Counter[str] = Counter()

    def enter(self, lane: str) -> Callable[[], None]:
        """Take a place in a lane; the function that is returned gives it back.

        Raises:
            TooMany: there is none.
        """
        if self._inside[lane] >= self._most[lane]:
            raise TooMany(lane, self._most[lane])
        self._inside[lane] += 1
        return partial(self._leave, lane)

    def _leave(self, lane: str) -> None:
        self._inside[lane] -= 1
