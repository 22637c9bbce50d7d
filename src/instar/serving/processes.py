"""What the processes of a gateway use of the machine, as the kernel counts it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from instar.serving.exposition import family


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time in seconds, resident memory in bytes, and when it began, since the epoch."""

    cpu_s: float
    memory_bytes: int
    began_at: float


def usage(pid: int) -> Usage | None:
    """Read what a process uses; None where it is gone or the system does not say so.

    Example:
        >>> here = usage(os.getpid())
        >>> here is None or here.memory_bytes > 0
        True
    """
    try:
        # The name of the program, in brackets, may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        tick = os.sysconf("SC_CLK_TCK")
        up_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        return None
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) / tick,
        memory_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        began_at=time.time() - up_s + int(fields[19]) / tick,
    )


def exposed(model: str, pids: Mapping[str, int]) -> Iterator[str]:
    """Write what the processes use, each under its name, as Prometheus text."""
    found = [(name, used) for name, pid in pids.items() if (used := usage(pid))]
    label = {name: {"model": model, "process": name} for name, _ in found}
    yield from family(
        "instar_process_cpu_seconds_total", "counter", ((label[n], u.cpu_s) for n, u in found)
    )
    yield from family(
        "instar_process_resident_memory_bytes",
        "gauge",
        ((label[n], u.memory_bytes) for n, u in found),
    )
    yield from family(
        "instar_process_start_time_seconds", "gauge", ((label[n], u.began_at) for n, u in found)
    )
