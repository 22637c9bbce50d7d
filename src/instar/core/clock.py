"""The clock of the machine."""

from __future__ import annotations

import functools
import time
from pathlib import Path

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
