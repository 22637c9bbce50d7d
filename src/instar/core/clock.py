"""The clock of the machine, and one that does not forget what the ledger saw."""

from __future__ import annotations

import functools
import time
from pathlib import Path

from instar.core.tools import Clock

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """Tell the date, and durations that no change of the date moves.

    Example:
        >>> clock = SystemClock()
        >>> (name, since), later = clock.boot(), clock.boot()
        >>> later[0] == name, later[1] >= since
        (True, True)
    """

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def boot(self) -> tuple[str, float]:
        return _boot(), time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@functools.cache
def _boot() -> str:
    return _BOOT.read_text("ascii").strip()


class LedgerClock:
    """Give no date before one that the ledger has seen already; the rest is the clock's own.

    Args:
        at_least: The newest date that counts, in seconds since the epoch.
    """

    def __init__(self, clock: Clock, at_least: float) -> None:
        self._clock, self._at_least = clock, at_least

    def now(self) -> float:
        return max(self._clock.now(), self._at_least)

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def boot(self) -> tuple[str, float]:
        return self._clock.boot()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
