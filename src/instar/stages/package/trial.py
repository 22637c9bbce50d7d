"""One graph tried on rows that it did not learn from: its answers and its speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.bundle.format import Contents
from instar.bundle.runtime import ServedBundle
from instar.core.data import Preprocessing, Task
from instar.data import preprocessing as prepare
from instar.data.schema.tasks import labelled
from instar.stages.package.errors import NoRowsToMeasure

ROWS = 4096  # looked at, at most
DENSE_ROWS = 512  # images of which every pixel is answered
BATCH = 64
ROUNDS = 15
CALLS = 20


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows in every form that is needed: raw columns, network inputs, labels."""

    columns: dict[str, NDArray[Any]]
    inputs: tuple[NDArray[Any], ...]
    labels: NDArray[Any]

    @classmethod
    def of(cls, frame: pl.DataFrame, how: Preprocessing, task: Task) -> Rows:
        """Prepare the first rows that have a label.

        Raises:
            NoRowsToMeasure: there is none.
        """
        rows = frame.filter(labelled(task)).head(DENSE_ROWS if task.dense else ROWS)
        if rows.is_empty():
            raise NoRowsToMeasure("validation")
        return cls(
            prepare.columns(rows, how), prepare.inputs(rows, how), prepare.labels(rows, task)
        )

    def first(self, count: int) -> dict[str, NDArray[Any]]:
        return {name: values[:count] for name, values in self.columns.items()}


@dataclass(frozen=True, slots=True)
class Trial:
    """A serialised graph, and its scores (n, k) on the rows."""

    graph: bytes
    served: ServedBundle
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, graph: bytes, contents: Contents, rows: Rows) -> Trial:
        served = ServedBundle("trial", contents, graph, threads=1)
        return cls(graph, served, served.predict(rows.columns))


def speeds(trials: Sequence[Trial], rows: Rows) -> list[tuple[float, float]]:
    """Time graphs side by side: microseconds of CPU for one row and for a batch of 64, of each.

    The graphs take turns, and the quickest round of each counts: whatever else the machine does
    only ever adds time. All of it is spent in this thread, since a session has no other.
    """
    one, many = rows.first(1), rows.first(BATCH)
    return list(zip(_fastest(trials, one, CALLS), _fastest(trials, many, 2), strict=True))


def _fastest(trials: Sequence[Trial], columns: dict[str, Any], calls: int) -> list[float]:
    times = np.empty((ROUNDS, len(trials)))
    for turn, place in np.ndindex(times.shape):
        predict = trials[place].served.predict
        start = time.thread_time_ns()
        for _ in range(calls):
            predict(columns)
        times[turn, place] = (time.thread_time_ns() - start) / calls / 1e3
    return [float(best) for best in times.min(axis=0)]
