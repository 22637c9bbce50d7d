"""What `instar --help` costs before it has done anything: `python -m benchmarks.cli.start`.

CPU time (user and system) of whole processes, beside a bare interpreter and one that imports
typer, which the command line is written with. Rounds alternate between the three; the median
counts, the spread is that of the rounds. The goal is 150 ms.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

GOAL_MS = 150.0
COMMANDS: Mapping[str, Sequence[str]] = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "python -c 'import typer'": (sys.executable, "-c", "import typer"),
    "instar --help": (str(Path(sys.executable).with_name("instar")), "--help"),
}


def cpu_ms(command: Sequence[str]) -> float:
    """Run a command to its end and return its CPU time, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def measure(rounds: int) -> dict[str, list[float]]:
    """Time every command once a round; a first round fills the caches and does not count."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            spent = cpu_ms(command)
            if number:
                times[name].append(spent)
    return times


def main() -> None:
    """Print the table, the verdict on the goal, and the same as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    times = measure(options.parse_args().rounds)
    middle = {name: statistics.median(row) for name, row in times.items()}
    bare = middle["python -c pass"]
    print(f"{'CPU milliseconds':28}{'median':>8}{'lowest':>8}{'highest':>9}{'ratio':>8}")
    for name, row in times.items():
        ratio = middle[name] / bare
        print(f"{name:28}{middle[name]:8.0f}{min(row):8.0f}{max(row):9.0f}{ratio:7.1f}x")
    ours = middle["instar --help"]
    print(f"goal: {GOAL_MS:.0f} ms; {'met' if ours <= GOAL_MS else 'missed'}")
    figures = {
        name: {
            "median_ms": round(middle[name], 1),
            "min_ms": round(min(row), 1),
            "max_ms": round(max(row), 1),
        }
        for name, row in times.items()
    }
    found = {"cpu": figures, "ratio": round(ours / bare, 2), "goal_ms": GOAL_MS}
    print(json.dumps({**found, "met": ours <= GOAL_MS}))


if __name__ == "__main__":
    main()
