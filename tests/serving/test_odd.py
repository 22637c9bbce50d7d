from __future__ import annotations

import pytest

from instar.core.data import Column, Kind, Role, Schema, Task, TaskKind
from instar.serving.odd import odd_of


def schema(low: float | None, high: float | None) -> Schema:
    return Schema((Column("y", Kind.NUMBER, Role.TARGET, "Float64", low=low, high=high),))


def test_value_is_outside_beyond_a_tenth_of_the_range_on_either_side() -> None:
    look = odd_of(Task(TaskKind.REGRESSION, "y"), schema(-10.0, 10.0))
    assert look is not None
    assert look([[0.0], [11.9], [-11.9]]) == (False, False)
    assert look([[0.0], [12.1]]) == look([[-12.1]]) == (True, False)


def test_nothing_is_odd_where_the_range_is_not_known_or_scores_are_a_softmax() -> None:
    assert odd_of(Task(TaskKind.REGRESSION, "y"), schema(None, None)) is None
    for kind in (TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.SEGMENTATION):
        assert odd_of(Task(kind, "y", ("a", "b")), schema(0, 1)) is None


@pytest.mark.parametrize(
    ("rows", "empty"), [([[0.0, 0.0]], True), ([[0.0, 0.1]], False), ([[0.2], [0.0]], True)]
)
def test_answer_of_zeros_is_empty(rows: list[list[float]], empty: bool) -> None:  # noqa: FBT001
    look = odd_of(Task(TaskKind.MULTILABEL, "", targets=("a", "b")), schema(0, 1))
    assert look is not None
    assert look(rows) == (False, empty)
