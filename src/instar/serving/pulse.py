"""Which processes of a gateway still turn: a word each in shared memory, that its loop moves on."""

from __future__ import annotations

from collections.abc import Mapping

from instar.serving.slots import Block

LOOK_S = 0.1  # between two looks
HURRY_S = 2.0  # without a sign, while a route waits for it
LOAD_S = 60.0  # while it says that it is loading
_SLEPT_S = 1.0  # a gap between two looks that says that the looker itself was stopped


class Pulse:
    """Find those who hang: they neither end nor move.

    Args:
        hang_s: Seconds without a sign after which a process is held to hang.

    Example:
        >>> from instar.serving.slots import Sheet
        >>> block, pulse = Sheet.anonymous(1).block(0), Pulse(5.0)
        >>> [pulse.look({0: block}, at / 2) for at in range(10)][-1], pulse.look({0: block}, 5.5)
        ([], [0])
        >>> block.tick()
        >>> pulse.look({0: block}, 6.0)
        []
    """

    def __init__(self, hang_s: float) -> None:
        self._hang_s = hang_s
        self._seen: dict[int, tuple[int, float]] = {}
        self._looked = 0.0

    def born(self, slot: int) -> None:
        """Begin anew with a post that another process has taken."""
        self._seen.pop(slot, None)

    def look(self, blocks: Mapping[int, Block], now: float, *, hurry: bool = False) -> list[int]:
        """List the posts whose process hangs.

        Args:
            blocks: The memory of each process, by post.
            now: Seconds, by a monotonic clock.
            hurry: Whether somebody waits for them.
        """
        slept, self._looked = now - self._looked > _SLEPT_S, now
        patience = min(self._hang_s, HURRY_S) if hurry else self._hang_s
        found = []
        for slot, block in blocks.items():
            ticks, since = self._seen.get(slot, (-1, now))
            if ticks != block.ticks or slept:
                self._seen[slot] = (block.ticks, now)
            elif now - since > (max(LOAD_S, patience) if block.loading else patience):
                found.append(slot)
        return found
