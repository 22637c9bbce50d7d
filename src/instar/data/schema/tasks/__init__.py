"""What follows from the kind of a task for the columns in which its labels stand. One file a kind.

Labels are learnt from in `models.tasks`; answers are judged and served in `tasks`.
"""

from __future__ import annotations

import functools
import operator

import polars as pl

from instar.core.data import Task, TaskKind, kind_of
from instar.core.family import Family
from instar.data.schema.tasks.binary import Binary
from instar.data.schema.tasks.detection import Detection
from instar.data.schema.tasks.multiclass import Multiclass
from instar.data.schema.tasks.multilabel import Multilabel
from instar.data.schema.tasks.regression import Regression
from instar.data.schema.tasks.segmentation import Segmentation
from instar.data.schema.tasks.target import Marks, Target

TARGETS: Family[Target] = Family(
    "target of a task",
    {
        "binary": Binary(),
        "multiclass": Multiclass(),
        "regression": Regression(),
        "multilabel": Multilabel(),
        "segmentation": Segmentation(),
        "detection": Detection(),
    },
)


def target_of(task: Task | TaskKind) -> Target:
    """Find how a task's labels are read."""
    return TARGETS[kind_of(task).value]


def labelled(task: Task) -> pl.Expr:
    """Tell which rows have a label, to filter by: in any of the columns.

    Example:
        >>> task = Task(TaskKind.BINARY, "up", ("no", "yes"))
        >>> pl.DataFrame({"up": ["no", None]}).filter(labelled(task)).height
        1
    """
    return functools.reduce(operator.or_, (pl.col(name).is_not_null() for name in task.columns))


__all__ = ["TARGETS", "Marks", "Target", "labelled", "target_of"]
