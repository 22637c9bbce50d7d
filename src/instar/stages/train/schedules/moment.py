"""When in a training a rate is asked for, and what is known by then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Moment:
    """Stand at `at` epochs, in [0, epochs), of a training of at most `epochs`.

    `period` is the policy's, in epochs. `losses` are the validation losses so far: before the
    first epoch, after the first, and so on. All of it follows from the history, so a resumed
    training has nothing to restore.
    """

    at: float
    epochs: int
    period: int = 5
    losses: Sequence[float] = ()

    @property
    def done(self) -> float:
        """Share of the training done, in [0, 1)."""
        return self.at / self.epochs


Schedule: TypeAlias = Callable[[Moment], float]
"""A moment -> share of the peak rate, in [0, 1]."""
