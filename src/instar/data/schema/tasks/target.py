"""What is to be known of a kind of task by those who read its labels out of columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.data import Kind, Task
from instar.data.schema.errors import NoLabels, UnknownCategory, UnknownLabel

OFTEN = 10  # rows from which a combination of labels is a stratum of its own


@dataclass(frozen=True, slots=True)
class Marks:
    """How much of each mark a row bears: `values` (n, k) from 0 to 1, NaN where it is not known.

    Marks are classes that exclude each other (`apart` is False), or yes-or-no labels each on its
    own (`apart` is True).
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    apart: bool = False

    @property
    def shares(self) -> NDArray[np.float64]:
        """Average each mark over the rows in which it is known, (k,); 0 where it never is."""
        known = ~np.isnan(self.values)
        total = np.where(known, self.values, 0.0).sum(axis=0)
        return np.asarray(total / np.maximum(known.sum(axis=0), 1))


class Target:
    """Say how labels stand in columns. The defaults are those of one column of classes."""

    kind = Kind.CATEGORY

    def infer(self, frame: pl.DataFrame, wanted: Task) -> Task:
        """Complete a task with what its columns show.

        Args:
            wanted: The task as far as the policy tells it.
        Raises:
            InputError: labels are missing, or do not fit.
        """
        raise NotImplementedError

    def check(self, frame: pl.DataFrame, task: Task, new_classes: str) -> None:
        """Refuse rows, in canonical form, whose labels are unusable as a whole.

        Raises:
            InputError: what is wrong.
        """
        raise NotImplementedError

    def grown(self, frame: pl.DataFrame, task: Task) -> Task:
        """Add the classes that the labels bring and the task lacks, where it can have more."""
        return task

    def knows(self, task: Task) -> pl.Expr | None:
        """Tell which rows have labels that a version with this task knows; None: all have."""
        return pl.col(task.target).cast(pl.String).is_in(task.classes)

    def read(self, frame: pl.DataFrame, task: Task) -> NDArray[Any]:
        """Code labels for training and gates, (n, ...).

        Raises:
            InputError: a row has no label, or one that is not a class.
        """
        raise NotImplementedError

    def strata(self, frame: pl.DataFrame, task: Task, seed: int) -> NDArray[np.int64]:
        """Number the strata within which rows are dealt to the parts of a split, (n,)."""
        _, stratum = np.unique(frame[task.target].to_numpy(), return_inverse=True)
        return np.asarray(stratum)

    def marks(self, frame: pl.DataFrame, task: Task) -> Marks | None:
        """Say what labels the rows bear, for the data gate; None where they are numbers."""
        raise NotImplementedError


def one_label(labels: pl.Series) -> pl.Series:
    """Take the labels that are there.

    Raises:
        NoLabels: none is.
    """
    found = labels.drop_nulls()
    if found.is_empty():
        raise NoLabels(labels.name)
    return found


def refuse_unknown(
    values: pl.Series, known: tuple[str, ...], error: type[UnknownCategory | UnknownLabel]
) -> None:
    """Refuse the first text that is none of the known ones."""
    wrong = ~values.is_in(known) & values.is_not_null()
    if wrong.any():
        row = int(wrong.arg_true()[0])
        count = int((values == values[row]).sum())
        raise error(values.name, values[row], count, row, known)


def strata_of(held: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number strata of rows that bear several labels, (n, labels) -> (n,).

    A combination that ten rows share is a stratum; other rows are put to those that share their
    rarest label.

    Source:
        Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label Data": strata
        by label set, and the label with the fewest rows first.
    Example:
        >>> strata_of(np.array([[True, False]] * 10 + [[True, True], [False, True]])).tolist()[8:]
        [0, 0, 1, 1]
    """
    _, stratum, rows = np.unique(held, axis=0, return_inverse=True, return_counts=True)
    stratum = stratum.reshape(-1)
    rarest = np.where(held, held.sum(axis=0), len(held) + 1).argmin(axis=1)
    rarest[~held.any(axis=1)] = held.shape[1]  # rows that bear none
    rare = rows[stratum] < OFTEN
    _, numbered = np.unique(np.where(rare, len(rows) + rarest, stratum), return_inverse=True)
    return np.asarray(numbered.reshape(-1))
