"""Metrics of the probabilities themselves: log loss and Brier score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from instar.stats.metrics.metric import CLASSES, Floats, Labels, Metric, mean_of

FLOOR = 1e-7  # about the resolution of float32 near 1: no single answer costs more than 16


def _log_loss(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    own = scores[np.arange(len(labels)), labels]
    return mean_of(-np.log(np.clip(own, FLOOR, 1.0)))


def _brier(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    """Square the error: of the positive class in a binary task, summed over classes else.

    Source:
        Brier 1950, "Verification of Forecasts Expressed in Terms of Probability".
    """
    if scores.shape[1] == 2:
        return mean_of((scores[:, 1] - labels) ** 2)
    truth = labels[:, None] == np.arange(scores.shape[1])
    return mean_of(((scores - truth) ** 2).sum(axis=1))


LOG_LOSS = Metric("log_loss", _log_loss, CLASSES, higher=False)
BRIER = Metric("brier", _brier, CLASSES, higher=False)
