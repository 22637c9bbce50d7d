"""One class out of several, in one column of texts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.data import Task
from instar.data.schema.errors import NoLabels, OneClass, UnknownLabel, WrongClasses
from instar.data.schema.tasks.target import Marks, Target, one_label, refuse_unknown
from instar.data.schema.text import as_text, in_order


class Multiclass(Target):
    """The classes are those found, or told in their order."""

    def infer(self, frame: pl.DataFrame, wanted: Task) -> Task:
        target, classes = wanted.target, wanted.classes
        one_label(frame[target])
        found = in_order(frame[target])
        if classes and set(found) - set(classes):
            raise WrongClasses(f"classes out of {', '.join(classes)}", ", ".join(found))
        if len(found) == 1:
            raise OneClass(target, found[0])
        return dataclasses.replace(wanted, classes=classes or found)

    def check(self, frame: pl.DataFrame, task: Task, new_classes: str) -> None:
        labels = frame[task.target]
        found = one_label(labels)
        self.refuse_strange(labels, task, new_classes)
        if found.n_unique() == 1:
            raise OneClass(labels.name, found[0])

    def refuse_strange(self, labels: pl.Series, task: Task, new_classes: str) -> None:
        """Refuse labels that are no classes, unless those are admitted."""
        if new_classes == "refuse":
            refuse_unknown(labels, task.classes, UnknownLabel)

    def grown(self, frame: pl.DataFrame, task: Task) -> Task:
        new = set(frame[task.target].drop_nulls().cast(pl.String)) - set(task.classes)
        return dataclasses.replace(task, classes=(*task.classes, *sorted(new)))

    def read(self, frame: pl.DataFrame, task: Task) -> NDArray[Any]:
        """Code classes by their places, int64 (n,)."""
        target = frame[task.target]
        if target.null_count():
            raise NoLabels(task.target)
        texts = as_text(target)
        codes = texts.replace_strict(
            list(task.classes), range(len(task.classes)), default=None, return_dtype=pl.Int64
        )
        if codes.null_count():
            row = int(codes.is_null().arg_true()[0])
            raise UnknownLabel(task.target, texts[row], codes.null_count(), row, task.classes)
        return codes.to_numpy()

    def marks(self, frame: pl.DataFrame, task: Task) -> Marks | None:
        labels = frame[task.target]
        names = tuple(task.classes) + tuple(sorted(set(labels.drop_nulls()) - set(task.classes)))
        codes = labels.replace_strict(
            names, range(len(names)), default=None, return_dtype=pl.Int64
        ).fill_null(-1)
        values = (codes.to_numpy()[:, None] == np.arange(len(names))).astype(np.float64)
        values[codes.to_numpy() < 0] = np.nan
        return Marks(names, values)
