from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from instar.core.data import Task, TaskKind
from instar.labels.pool import NoClasses, Pool, _bare
from instar.labels.pseudo import answers

CLASSES = Task(TaskKind.BINARY, "up", ("false", "true"))
NUMBER = Task(TaskKind.REGRESSION, "load")


@pytest.mark.parametrize(
    ("labels", "task", "bare"),
    [
        (pl.Series([True, None, False]), CLASSES, [False, True, False]),
        (pl.Series(["true", "new", None]), CLASSES, [False, True, True]),
        (pl.Series([None, None]), CLASSES, [True, True]),
        (pl.Series([1.5, None]), NUMBER, [False, True]),
        (pl.Series([None, None]), NUMBER, [True, True]),
    ],
)
def test_row_is_unlabelled_where_no_known_class_stands(
    labels: pl.Series, task: Task, bare: list[bool]
) -> None:
    frame = pl.DataFrame({task.target: labels})
    assert _bare(frame, task).to_list() == bare


SKY = Task(TaskKind.MULTILABEL, classes=("rain", "wind"), targets=("rain", "wind"))


def test_row_is_labelled_where_any_of_its_labels_is_known() -> None:
    frame = pl.DataFrame({"rain": [1.0, None, None], "wind": [None, 0.0, None]})
    assert _bare(frame, SKY).to_list() == [False, False, True]


def test_nobody_is_asked_how_sure_several_labels_are() -> None:
    nothing = np.zeros((0, 2))
    pool = Pool(SKY, np.arange(0), nothing, lambda: nothing, lambda: nothing)
    with pytest.raises(NoClasses, match="a multilabel one"):
        pool.probabilities("entropy", "choose another way: --by core-set")
    assert answers(pool, np.arange(0)) == []
