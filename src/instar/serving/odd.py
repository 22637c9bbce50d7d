"""Answers that are numbers and odd all the same: beyond what was ever seen, or empty.

They are given to the client like any other; a release counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from instar.core.data import Schema, Task, TaskKind

Rows: TypeAlias = Sequence[Sequence[float]]
Odd: TypeAlias = Callable[[Rows], tuple[bool, bool]]
"""From what is kept of a request's answers to whether any is beyond the range, and any empty."""

_SLACK = 0.1  # of the range in training: a regression may well answer a little beyond it
# Their scores are probabilities of a softmax or of pixels: never all 0.
_NEVER = (TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.SEGMENTATION)


def odd_of(task: Task, schema: Schema) -> Odd | None:
    """Make the look at a task's answers; None where none can be odd.

    A regression's value is outside where it lies beyond the target's range in training by more
    than a tenth of that range. An answer is empty where every score that is kept of it is 0.

    Example:
        >>> from instar.core.data import Column, Kind, Role
        >>> target = Column("y", Kind.NUMBER, Role.TARGET, "Float64", low=0.0, high=10.0)
        >>> look = odd_of(Task(TaskKind.REGRESSION, "y"), Schema((target,)))
        >>> look([[10.5]]), look([[3.0], [11.5]])
        ((False, False), (True, False))
    """
    if task.kind is TaskKind.REGRESSION:
        return _beyond(task, schema)
    return None if task.kind in _NEVER else _blank


def _beyond(task: Task, schema: Schema) -> Odd | None:
    target = next((c for c in schema.columns if c.name == task.target), None)
    if target is None or target.low is None or target.high is None:
        return None
    slack = _SLACK * (target.high - target.low)
    low, high = target.low - slack, target.high + slack

    def look(rows: Rows) -> tuple[bool, bool]:
        return any(not low <= row[0] <= high for row in rows), False

    return look


def _blank(rows: Rows) -> tuple[bool, bool]:
    return False, any(not any(row) for row in rows)
