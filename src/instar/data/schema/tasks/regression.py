"""A number, in one column of numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.data import Kind, Task
from instar.data.schema.errors import NoLabels
from instar.data.schema.tasks.target import Marks, Target, one_label

BINS = 10  # the target is stratified by deciles


class Regression(Target):
    """Any finite number will do."""

    kind = Kind.NUMBER

    def infer(self, frame: pl.DataFrame, wanted: Task) -> Task:
        one_label(frame[wanted.target])
        return dataclasses.replace(wanted, classes=())

    def check(self, frame: pl.DataFrame, task: Task, new_classes: str) -> None:
        one_label(frame[task.target])

    def knows(self, task: Task) -> pl.Expr | None:
        return None

    def read(self, frame: pl.DataFrame, task: Task) -> NDArray[Any]:
        """Read values, float32 (n,)."""
        target = frame[task.target]
        if target.null_count():
            raise NoLabels(task.target)
        return target.cast(pl.Float32).to_numpy()

    def strata(self, frame: pl.DataFrame, task: Task, seed: int) -> NDArray[np.int64]:
        target = frame[task.target]
        deciles = target.rank("ordinal") * BINS // (len(target) + 1)
        _, stratum = np.unique(deciles.to_numpy(), return_inverse=True)
        return np.asarray(stratum)

    def marks(self, frame: pl.DataFrame, task: Task) -> Marks | None:
        return None
