"""Metrics of a number: squared and absolute error, R²."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from instar.core.data import TaskKind
from instar.stats.metrics.metric import Floats, Labels, Metric, mean_of, ratio

KINDS = frozenset({TaskKind.REGRESSION})


def _mse(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    return mean_of((scores[:, 0] - labels) ** 2)


def _mae(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    return mean_of(np.abs(scores[:, 0] - labels))


def _r2(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    error = (scores[:, 0] - labels) ** 2
    offset = labels - labels.mean()  # keeps the two sums below of one magnitude

    def r2(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        spread = weights @ offset**2 - (weights @ offset) ** 2 / total
        return 1 - ratio(weights @ error, np.where(spread > 1e-12 * total, spread, 0.0))

    return r2


MSE = Metric("mse", _mse, KINDS, higher=False, relative=True)
MAE = Metric("mae", _mae, KINDS, higher=False, relative=True)
R2 = Metric("r2", _r2, KINDS)
