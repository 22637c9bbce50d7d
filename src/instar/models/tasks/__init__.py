"""What follows from the kind of a task for those who learn from its labels. One file a kind."""

from __future__ import annotations

from instar.core.data import Task, TaskKind, kind_of
from instar.core.family import Family
from instar.models.tasks.binary import Binary
from instar.models.tasks.detection import Detection
from instar.models.tasks.lesson import Lesson
from instar.models.tasks.multiclass import Multiclass
from instar.models.tasks.multilabel import Multilabel
from instar.models.tasks.regression import Regression
from instar.models.tasks.segmentation import Segmentation

LESSONS: Family[Lesson] = Family(
    "lesson of a task",
    {
        "binary": Binary(),
        "multiclass": Multiclass(),
        "regression": Regression(),
        "multilabel": Multilabel(),
        "segmentation": Segmentation(),
        "detection": Detection(),
    },
)


def lesson_of(task: Task | TaskKind) -> Lesson:
    """Find how a task's labels are learnt from."""
    return LESSONS[kind_of(task).value]


__all__ = ["LESSONS", "Lesson", "lesson_of"]
