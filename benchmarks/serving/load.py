"""Load by `wrk`, and what a process tree uses while it lasts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.cases import PATH, Case

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Told:
    """What wrk says: good answers, failed ones, those that came after 2 s; p99 in milliseconds."""

    good: int
    failed: int
    late: int
    p99_ms: float
    seconds: float

    @property
    def offered(self) -> float:
        """Answers a second, good or not."""
        return (self.good + self.failed) / self.seconds

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.good / self.seconds


@contextmanager
def asking(
    url: str,
    case: Case,
    connections: int,
    seconds: float,
    *,
    path: str = PATH,
    delay_ms: float = 0.0,
    timeout_ms: int = 0,
) -> Iterator[subprocess.Popen[str]]:
    """Ask for a while, in a process of its own; see `told` for its end."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(case.lua(delay_ms, timeout_ms))
        script.flush()
        process = subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", script.name, url + path],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def told(process: subprocess.Popen[str]) -> Told:
    """Wait for the end of the load and read what it came to."""
    said, _ = process.communicate()
    lines = [line for line in said.splitlines() if line.startswith("answers ")]
    if not lines:
        raise SystemExit(f"wrk said: {said.strip()[-300:]}")
    good, failed, late, p99, spent = map(float, lines[0].split()[1:])
    return Told(int(good), int(failed), int(late), p99 / 1000, spent / 1e6)


def ask(url: str, case: Case, connections: int, seconds: float, *, path: str = PATH) -> Told:
    """Ask as fast as the server answers; a failed request ends the benchmark."""
    with asking(url, case, connections, seconds, path=path) as process:
        found = told(process)
    if found.late:  # over 2 s, which on a busy machine may be anybody's fault
        print(f"{url}: {found.late} answers came after 2 s", file=sys.stderr)
    if found.failed or not found.good:
        raise SystemExit(f"{url}: {found.failed} requests failed, {found.good} did not")
    return found


def tree(pid: int) -> list[int]:
    """List a process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def cpu_s(pid: int) -> float:
    """Read the CPU seconds of a process tree, of its threads and of children that ended."""
    total = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(int(field) for field in fields[11:13])
    return total / TICK


def memory_mb(pid: int) -> float:
    """Read the memory of a process tree in MB, pages that several share counted once (PSS)."""
    total = 0
    for one in tree(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1000
