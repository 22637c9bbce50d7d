"""What work used: CPU, GPU, memory, energy and money, measured where it is done.

Energy is an estimate, and `Cost.method` says of what kind. The counters of the processor (RAPL) see
all that runs on it; without them, CPU seconds are taken times an assumed power.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instar import provenance
from instar.core.records import Cost
from instar.core.tools import Clock, Rates

POWERCAP = Path("/sys/class/powercap")
EVERY_S = 30.0  # a counter of 65 kJ runs over in five minutes at 200 W


class Processor:
    """Energy of the processors since this was made, by the kernel's counters (RAPL).

    Source:
        Linux, Documentation/power/powercap/powercap.rst: microjoules, which begin again at
        `max_energy_range_uj`. Khan et al. 2018, "RAPL in Action", for how far they can be trusted.
    """

    def __init__(self, root: Path) -> None:
        self.joules = 0.0
        self._last: dict[Path, int] = {}
        for zone in sorted(root.glob("intel-rapl:*")):
            # A processor is `intel-rapl:0`; its parts, `intel-rapl:0:0`, are within its figure.
            counter = _whole(zone / "energy_uj") if zone.name.count(":") == 1 else None
            if counter is not None and _text(zone / "name").startswith("package"):
                self._last[zone] = counter

    def __bool__(self) -> bool:
        return bool(self._last)

    def read(self) -> None:
        """Add what was used since the last reading, which may not be longer ago than one range."""
        for zone, last in self._last.items():
            now = _whole(zone / "energy_uj")
            if now is not None:
                turn = (_whole(zone / "max_energy_range_uj") or 0) if now < last else 0
                self.joules += max(0, now + turn - last) / 1e6
                self._last[zone] = now


class Cards:
    """Power of the NVIDIA cards in watts, by readings while this process uses CUDA."""

    def __init__(self) -> None:
        self.watts: list[float] = []

    def read(self) -> None:
        if _cuda() is not None:
            found = [card.watts for card in provenance.cards() if card.watts is not None]
            self.watts += [sum(found) / len(found)] if found else []


@contextmanager
def metered(clock: Clock, rates: Rates) -> Iterator[Callable[[], Cost]]:
    """Measure what is done within the block.

    Args:
        clock: Gives the wall seconds.
        rates: Prices, and the assumed power of a core where nothing measures it.
    Returns:
        A function that says what was used so far. CPU seconds are those of this process and of
        children that have ended; GPU seconds those for which it held cards, used or not;
        `peak_bytes` is its peak since it began.
    Example:
        >>> from instar.testing.tools import FakeClock
        >>> clock = FakeClock()
        >>> with metered(clock, Rates(cpu_hour=0.05)) as used:
        ...     clock.sleep(2.0)
        ...     cost = used()
        >>> cost.wall_s, cost.gpu_s, 0 <= cost.money <= cost.cpu_s
        (2.0, 0.0, True)
    """
    cpu, wall = cpu_seconds(), clock.monotonic()
    processor, cards, lock = Processor(POWERCAP), Cards(), threading.Lock()
    done = threading.Event()
    if (torch := _cuda()) is not None:
        for card in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(card)

    def read() -> None:
        with lock:
            processor.read()
            cards.read()

    def used() -> Cost:
        read()
        span = clock.monotonic() - wall
        return _cost(cpu_seconds() - cpu, span, processor, cards, rates)

    def follow() -> None:
        while not done.wait(EVERY_S):
            read()

    thread = threading.Thread(target=follow, daemon=True)
    if processor or provenance.accelerators():
        thread.start()
    try:
        yield used
    finally:
        done.set()
        if thread.is_alive():
            thread.join()


def cpu_seconds() -> float:
    """Count the CPU seconds of this process, and of those that it started and that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_bytes() -> int:
    """Count the most memory that this process has taken at once since it began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kilobytes on Linux


def _cost(cpu_s: float, wall_s: float, processor: Processor, cards: Cards, rates: Rates) -> Cost:
    peaks = _gpu_peaks()
    gpu_s = wall_s * len(peaks)
    energy, method = processor.joules, "CPU by the processor's counters, all that ran on it"
    if not processor:
        energy = cpu_s * rates.watts_per_core
        method = f"CPU seconds x {rates.watts_per_core:g} W per core, an assumption"
    if gpu_s and cards.watts:
        energy += gpu_s * sum(cards.watts) / len(cards.watts)
        method += "; GPU seconds x the mean of its power readings"
    elif gpu_s:
        method += "; GPU not counted, it tells no power"
    return Cost(
        cpu_s=cpu_s,
        wall_s=wall_s,
        peak_bytes=peak_bytes(),
        energy_j=energy,
        gpu_s=gpu_s,
        gpu_peak_bytes=sum(peaks),
        money=(cpu_s * rates.cpu_hour + gpu_s * rates.gpu_hour) / 3600,
        method=method,
    )


def _cuda() -> Any:
    """Return torch where this process computes with it on a card; it is not loaded for this."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def _gpu_peaks() -> list[int]:
    """List the peak memory, in bytes, of each card that holds or held something of ours."""
    torch = _cuda()
    if torch is None:
        return []
    peaks = [torch.cuda.max_memory_allocated(card) for card in range(torch.cuda.device_count())]
    return [int(peak) for peak in peaks if peak]


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):  # most kernels let only root read the counters
        return ""


def _whole(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdigit() else None
