"""Live quality: what one answer costs once its label is known, in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from instar.core.data import TaskKind
from instar.core.family import Family
from instar.core.records import ModelVersion

Array = NDArray[np.float64]
Loss = Callable[[Array, Array, float], Array]


def brier(scores: Array, labels: Array, span: float) -> Array:
    """Square the error of the probabilities: of the true class's rest, or halved over classes.

    Example:
        >>> brier(np.array([[0.25, 0.75]]), np.array([1]), 1.0)
        array([0.0625])
    """
    truth = np.asarray(labels, int)[:, None] == np.arange(scores.shape[1])
    return np.asarray(((scores - truth) ** 2).sum(axis=1) / 2)


def accuracy(scores: Array, labels: Array, span: float) -> Array:
    """Count a wrong answer as 1."""
    return np.asarray(scores.argmax(axis=1) != labels, float)


def squared_error(scores: Array, labels: Array, span: float) -> Array:
    """Square the error as a part of the range that labels had in training; at most 1."""
    return np.asarray(np.minimum(((scores[:, 0] - labels) / span) ** 2, 1.0))


LOSSES: Family[Loss] = Family(
    "live_quality",
    {
        "brier": brier,
        "accuracy": accuracy,
        "squared_error": squared_error,
    },
)


def loss_of(name: str, champion: ModelVersion) -> tuple[str, Loss, float]:
    """Find the loss that a policy names, or the task's own; with the span of the labels.

    Raises:
        UnknownName: the family has no such member.
    """
    regression = champion.task.kind is TaskKind.REGRESSION
    if name == "auto":
        name = "squared_error" if regression else "brier"
    if not regression:
        return name, LOSSES[name], 1.0
    target = champion.schema[champion.task.target]
    return name, LOSSES[name], ((target.high or 0.0) - (target.low or 0.0)) or 1.0
