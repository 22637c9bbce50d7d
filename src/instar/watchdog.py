"""The pulse of long work: whether it goes on, and whether it is to stop.

Work that hangs says nothing; so somebody has to look. A sign of life is a line of progress, a
step of a training or, between such signs, the use of the processor: a stage that computes for an
hour without a word is slow, one that waits for an hour hangs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Share of one processor from which a silent stage counts as at work. Renewing the lease is done
# by the same process and takes some thousandths; a stage that computes takes a whole one.
_BUSY = 0.05


class Watchdog:
    """Watch over one piece of work at a time: `instar.core.tools.Pulse` for a worker process.

    Args:
        stall_s: Seconds without a sign of life after which work counts as hung; 0: never.
        hung: Told the name of the work and the seconds; it ends the process.
    """

    def __init__(self, stall_s: float, hung: Callable[[str, float], None]) -> None:
        self._stall_s, self._hung = stall_s, hung
        self._stop = threading.Event()
        self._at, self._stepping = time.monotonic(), False

    def beat(self) -> None:
        """Note a step of the work; from now on, until the next line, only steps count."""
        self._at, self._stepping = time.monotonic(), True

    def told(self) -> None:
        """Note a line of progress."""
        self._at, self._stepping = time.monotonic(), False

    def stop(self) -> None:
        """Ask the work to end at the next good moment."""
        self._stop.set()

    def stopping(self) -> bool:
        return self._stop.is_set()

    @contextmanager
    def over(self, name: str) -> Iterator[None]:
        """Watch over a piece of work."""
        if not self._stall_s:
            yield
            return
        self.told()
        done = threading.Event()
        thread = threading.Thread(target=self._watch, args=(name, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _watch(self, name: str, done: threading.Event) -> None:
        pause = min(self._stall_s / 4, 5.0)
        used = time.process_time()
        while not done.wait(pause):
            before, used = used, time.process_time()
            if not self._stepping and used - before > _BUSY * pause:
                self._at = time.monotonic()
            if time.monotonic() - self._at > self._stall_s:
                self._hung(name, self._stall_s)
                return
