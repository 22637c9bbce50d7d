"""How much memory the demo needs: `python -m benchmarks.demo.memory`.

Runs `instar demo --json` and looks every tenth of a second at the whole tree of its processes.
Two figures: the largest sum of their resident memory at one moment, in which pages that processes
share count once for each; and the largest peak of a single process, as the kernel counted it. The
goal is that the sum stays under 2 GB. The twin is a bare interpreter that imports torch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

GOAL_MB = 2000.0
LOOK_S = 0.1
TWIN = "import resource, torch; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def role(process: psutil.Process) -> str:
    """Name a process by its module or script."""
    words = process.cmdline()
    if "-m" in words[:-1]:
        return str(words[words.index("-m") + 1])
    scripts = [Path(word).name for word in words[1:] if word.endswith(".py")]
    return scripts[0] if scripts else "instar demo"


def peak_mb(process: psutil.Process) -> float:
    """Return the largest resident memory a process ever had, by the kernel's count."""
    lines = Path(f"/proc/{process.pid}/status").read_text("utf-8").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / 1e6


class Watch:
    """What was seen of a process and its descendants."""

    def __init__(self, root: psutil.Process) -> None:
        self.root = root
        self.peaks: dict[int, tuple[str, float]] = {}
        self.total = 0.0
        self.together: dict[str, float] = {}

    def look(self) -> None:
        """Sum resident memory now, and keep each process's own peak."""
        now: dict[str, float] = {}
        for process, name in self._alive():
            now[name] = now.get(name, 0.0) + process.memory_info().rss / 1e6
            self.peaks[process.pid] = (name, peak_mb(process))
        if sum(now.values()) > self.total:
            self.total, self.together = sum(now.values()), now

    def _alive(self) -> Iterator[tuple[psutil.Process, str]]:
        for process in [self.root, *self.root.children(recursive=True)]:
            # A process may end between two questions.
            with contextlib.suppress(psutil.Error, OSError, StopIteration):
                yield process, role(process)


def play(seed: int) -> tuple[Watch, dict[str, Any]]:
    """Run the demo under watch; return what was seen and what the demo said."""
    with tempfile.TemporaryDirectory(prefix="instar-memory-") as folder:
        command = [sys.executable, "-m", "instar", "demo", "--json", "--seed", str(seed)]
        with (Path(folder) / "said").open("w+", encoding="utf-8") as said:
            demo = subprocess.Popen([*command, "--folder", f"{folder}/demo"], stdout=said)
            watch = Watch(psutil.Process(demo.pid))
            while demo.poll() is None:
                with contextlib.suppress(psutil.Error, OSError, StopIteration):
                    watch.look()
                time.sleep(LOOK_S)
            said.seek(0)
            return watch, json.load(said)


def twin_mb() -> float:
    """Return the peak of a process that imports torch and does nothing."""
    done = subprocess.run([sys.executable, "-c", TWIN], check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024 / 1e6


def main() -> None:
    """Print a line for each kind of process, the sum, and the same as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=0)
    watch, said = play(options.parse_args().seed)
    rows: dict[str, list[float]] = {}
    for name, peak in watch.peaks.values():
        rows.setdefault(name, []).append(peak)
    bare = twin_mb()
    print(f"{'MB':24}{'processes':>10}{'largest peak':>14}{'at the peak of the sum':>24}")
    for name, peaks in sorted(rows.items(), key=lambda row: -max(row[1])):
        print(f"{name:24}{len(peaks):10}{max(peaks):14.0f}{watch.together.get(name, 0.0):24.0f}")
    print(f"{'python: import torch':24}{1:10}{bare:14.0f}")
    met = watch.total < GOAL_MB
    print(
        f"sum at its peak: {watch.total:.0f} MB, {watch.total / bare:.1f}x of a bare torch; "
        f"goal: under {GOAL_MB:.0f}; {'met' if met else 'missed'}"
    )
    figures = {
        "sum_peak_mb": watch.total,
        "largest_mb": {name: max(peaks) for name, peaks in rows.items()},
        "at_the_peak_mb": watch.together,
        "torch_mb": bare,
        "goal_mb": GOAL_MB,
        "met": met,
        "seconds": said["seconds"],
        "passed": said["passed"],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
