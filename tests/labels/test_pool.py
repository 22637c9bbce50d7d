from __future__ import annotations

import polars as pl
import pytest

from instar.core.data import Task, TaskKind
from instar.labels.pool import _bare

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
