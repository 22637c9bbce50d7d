"""Holm's correction: many tests, one promise about false alarms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values so that rejecting those below alpha errs at all with chance alpha at most.

    Holds however the tests depend on each other, as columns of one table do.

    Args:
        p_values: One per test, shape (t,).
    Returns:
        Adjusted p-values in [0, 1], shape (t,), in the same order.
    Source:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted
