"""What the checks of the data gate look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.data import Kind, Preprocessing, Role, Schema, Task
from instar.core.finding import Finding
from instar.core.policy import AdmitPolicy
from instar.data.schema.tasks import Marks, labelled, target_of
from instar.data.schema.text import as_text
from instar.data.split import sample
from instar.stages.admit.looks import looks

COMPARED, IMAGES = 50_000, 1_000  # rows of each side that comparisons draw at most


@dataclass(frozen=True)
class Evidence:
    """Fresh rows, the rows the champion learnt from and was held against, and the champion.

    `fresh` holds every row of the file in its order, in the schema's form, labels or not.
    `answers` scores rows with the champion's bundle, float (n, k); it is opened on first use.
    """

    fresh: pl.DataFrame
    train: pl.DataFrame
    holdout: pl.DataFrame
    schema: Schema
    task: Task
    preprocessing: Preprocessing
    policy: AdmitPolicy
    answers: Callable[[pl.DataFrame], NDArray[Any]]
    seed: int = 0

    @cached_property
    def labelled(self) -> pl.DataFrame:
        """Fresh rows that have a label."""
        return self.fresh.filter(labelled(self.task))

    @cached_property
    def marks(self) -> tuple[Marks, Marks] | None:
        """Tell what labels old and fresh rows bear; None for a regression."""
        old, fresh = (target_of(self.task).marks(side, self.task) for side in self._labels)
        return None if old is None or fresh is None else (old, fresh)

    @property
    def _labels(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        return self.train.filter(labelled(self.task)), self.labelled

    @cached_property
    def drawn(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Draw old and fresh rows, features only."""
        rows = IMAGES if self.images else COMPARED
        features = [column.name for column in self.schema.features]
        old, fresh = (
            sample(frame, rows, self.seed).select(features) for frame in (self.train, self.fresh)
        )
        return old, fresh

    @cached_property
    def compared(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Take the drawn rows with numbers and categories only: images become their looks."""
        old, fresh = self.drawn
        for name in self.images:
            old, fresh = (
                frame.drop(name).hstack(looks(frame[name]).get_columns()) for frame in (old, fresh)
            )
        return old, fresh

    @property
    def images(self) -> tuple[str, ...]:
        """Name the image columns."""
        return tuple(column.name for column in self.schema.of(Role.FEATURE, Kind.IMAGE))

    @property
    def key(self) -> list[str]:
        """Name the columns that make a row what it is: features, target, and time if any.

        Ids are left out, since a row delivered twice often gets a new one. Time is not: two
        readings that agree at different times are two readings.
        """
        time = [self.task.time] if self.task.time else []
        return [*(column.name for column in self.schema.features), *self.task.columns, *time]

    def times(self, rows: Sequence[int] | NDArray[np.int64] | slice) -> pl.Series | None:
        """Take the times of some fresh rows, where there is a time column."""
        return None if self.task.time is None else self.fresh[self.task.time][rows]


@dataclass(frozen=True, slots=True)
class Held:
    """Rows to be held back: their numbers in the fresh file, why, and the column at fault."""

    rows: NDArray[np.int64] = field(repr=False)
    reason: str
    column: str


Check = Callable[[Evidence], Sequence[Finding | Held]]


def align(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Give old rows the columns and types of the schema; a column they lack is missing."""
    missing = [
        pl.lit(None).alias(column.name)
        for column in schema.columns
        if column.name not in frame.columns
    ]
    frame = frame.with_columns(missing)
    return frame.with_columns(
        as_text(frame[column.name])
        if column.kind is Kind.CATEGORY
        else frame[column.name].cast(pl.Float64, strict=False)
        for column in schema.columns
        if column.role in (Role.FEATURE, Role.TARGET)
        and column.kind in (Kind.CATEGORY, Kind.NUMBER)
    )
