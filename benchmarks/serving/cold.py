"""How long a gateway takes to its first answer, and the memory it then has.

Python compiles its sources once; whoever installs a package has that behind them. So the sources
are compiled into a folder of its own by a start that is not measured.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator

from benchmarks.serving import cases
from benchmarks.serving.cases import PATH, VERSION
from benchmarks.serving.figures import OTHER, THIRD, Figure, Given, instar
from benchmarks.serving.load import cpu_s, memory_mb

THREE = {VERSION: "mlp", OTHER: "cnn", THIRD: "columns"}


def cold(given: Given) -> Iterator[Figure]:
    """Start one worker with three models."""
    times, costs, sizes = [], [], []
    asked = cases.case("mlp").body
    with _compiled():
        for turn in range(1 + max(3, given.rounds)):
            with instar(THREE, 1, warm=True) as house:
                with urllib.request.urlopen(urllib.request.Request(house.url + PATH, asked)):
                    pass
                if turn:
                    times.append(time.monotonic() - house.began)
                    costs.append(cpu_s(house.pid))
                    sizes.append(memory_mb(house.pid))
    yield Figure("first answer after", statistics.median(times), "s", most=0.7)
    yield Figure("CPU until then", statistics.median(costs), "s")
    note = "both processes, shared pages once"
    yield Figure("memory", statistics.median(sizes), "MB", most=125, note=note)


@contextlib.contextmanager
def _compiled() -> Iterator[None]:
    """Have processes that start meanwhile keep what they compile, whatever else was wished."""
    before = os.environ.copy()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
