"""Expected calibration error, and the curve behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar.stats.metrics.metric import CLASSES, Floats, Labels, Metric

BINS = 15


def confidence(scores: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Give the probability that is judged, and whether it came true.

    Binary: the positive class's; multiclass: the chosen class's.
    """
    if scores.shape[1] == 2:
        return scores[:, 1], (labels == 1).astype(np.float64)
    return scores.max(axis=1), (scores.argmax(axis=1) == labels).astype(np.float64)


def _bins(probability: Floats) -> NDArray[np.int64]:
    # Bins are closed on the right, as in the source; probability 0 joins the first.
    return np.clip(np.ceil(probability * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _ece(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    """Average the gap between confidence and accuracy over equal-width bins.

    Source:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    """
    probability, truth = confidence(scores, labels)
    member = _bins(probability)[:, None] == np.arange(BINS)
    gaps = member * (probability - truth)[:, None]
    return lambda weights: np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1)


def calibration_curve(scores: Floats, labels: Labels) -> dict[str, list[Any]]:
    """Summarise each filled bin: mean probability, share that came true, rows.

    Example:
        >>> calibration_curve(np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1]))
        {'predicted': [0.5], 'observed': [0.5], 'n': [2]}
    """
    probability, truth = confidence(scores, labels)
    bins = _bins(probability)
    rows = [np.flatnonzero(bins == place) for place in np.unique(bins)]
    return {
        "predicted": [float(probability[r].mean()) for r in rows],
        "observed": [float(truth[r].mean()) for r in rows],
        "n": [len(r) for r in rows],
    }


ECE = Metric("ece", _ece, CLASSES, higher=False)
