"""Yes or no, in one column of two texts."""

from __future__ import annotations

import polars as pl

from instar.core.data import Task
from instar.data.schema.errors import ThirdLabel, UnknownLabel, WrongClasses
from instar.data.schema.tasks.multiclass import Multiclass
from instar.data.schema.tasks.target import refuse_unknown


class Binary(Multiclass):
    """Two classes, negative and positive; a third cannot come, as the network has one output."""

    def infer(self, frame: pl.DataFrame, wanted: Task) -> Task:
        task = super().infer(frame, wanted)
        if len(task.classes) != 2:
            wish = f"two classes in column {task.target!r}"
            raise WrongClasses(wish, f"{len(task.classes)}")
        return task

    def refuse_strange(self, labels: pl.Series, task: Task, new_classes: str) -> None:
        error = ThirdLabel if new_classes == "admit" else UnknownLabel
        refuse_unknown(labels, task.classes, error)

    def grown(self, frame: pl.DataFrame, task: Task) -> Task:
        return task
