"""What follows from the kind of a task for those who judge and serve answers. NumPy only.

One file a kind. Its labels are read in `data.schema.tasks`, learnt from in `models.tasks`.
"""

from __future__ import annotations

from instar.core.data import Task, TaskKind, kind_of
from instar.core.family import Family
from instar.tasks.binary import Binary
from instar.tasks.detection import Detection
from instar.tasks.form import Form, WrongLabel
from instar.tasks.multiclass import Multiclass
from instar.tasks.multilabel import Multilabel
from instar.tasks.regression import Regression
from instar.tasks.segmentation import Segmentation

FORMS: Family[Form] = Family(
    "form of a task",
    {
        "binary": Binary(),
        "multiclass": Multiclass(),
        "regression": Regression(),
        "multilabel": Multilabel(),
        "segmentation": Segmentation(),
        "detection": Detection(),
    },
)


def form_of(task: Task | TaskKind) -> Form:
    """Find the form of a task's answers.

    Example:
        >>> form_of(TaskKind.BINARY).metric
        'auroc'
    """
    return FORMS[kind_of(task).value]


__all__ = ["FORMS", "Form", "WrongLabel", "form_of"]
