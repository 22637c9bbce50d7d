"""Several labels that each hold or do not hold, each in a column of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.data import Kind, Task
from instar.data.schema.errors import NoLabels, OneClass, WrongClasses
from instar.data.schema.tasks.target import Marks, Target, one_label, strata_of


class Multilabel(Target):
    """Columns of 0 and 1, or of false and true; a missing value is a label not known.

    A row counts as labelled where at least one of its labels is known.
    """

    kind = Kind.NUMBER

    def infer(self, frame: pl.DataFrame, wanted: Task) -> Task:
        for name in wanted.targets:
            values = self._marks_of(one_label(frame[name]))
            if values.n_unique() == 1:
                raise OneClass(name, f"{values[0]:g}")
        return dataclasses.replace(wanted, classes=wanted.targets)

    def check(self, frame: pl.DataFrame, task: Task, new_classes: str) -> None:
        columns = [self._marks_of(frame[name].drop_nulls()) for name in task.targets]
        if all(column.is_empty() for column in columns):
            raise NoLabels(task.shown)
        if all(column.n_unique() < 2 for column in columns):
            raise OneClass(task.shown, "one value each")

    def knows(self, task: Task) -> pl.Expr | None:
        return None

    def read(self, frame: pl.DataFrame, task: Task) -> NDArray[Any]:
        """Read labels as 1, 0 or NaN, float32 (n, labels)."""
        labels = self._values(frame, task)
        if np.isnan(labels).all(axis=1).any():
            raise NoLabels(task.shown)
        return labels.astype(np.float32)

    def strata(self, frame: pl.DataFrame, task: Task, seed: int) -> NDArray[np.int64]:
        """Take combinations of labels, as far as they are frequent; else the rarest label."""
        return strata_of(self._values(frame, task) == 1)

    def marks(self, frame: pl.DataFrame, task: Task) -> Marks | None:
        return Marks(task.classes, self._values(frame, task), apart=True)

    @staticmethod
    def _values(frame: pl.DataFrame, task: Task) -> NDArray[np.float64]:
        columns = [frame[name].cast(pl.Float64).fill_null(float("nan")) for name in task.targets]
        return np.stack([column.to_numpy() for column in columns], axis=1)

    @staticmethod
    def _marks_of(found: pl.Series) -> pl.Series:
        """Read 0 and 1 out of a column without missing values."""
        wanted = f"0 and 1, or false and true, in column {found.name!r}"
        if not (found.dtype.is_numeric() or found.dtype in (pl.Boolean, pl.Null)):
            raise WrongClasses(wanted, f"{found.dtype}")
        values = found.cast(pl.Float64)
        if strange := values.filter(~values.is_in([0.0, 1.0])).to_list():
            raise WrongClasses(wanted, f"{strange[0]:g}")
        return values
