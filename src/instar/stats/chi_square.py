"""Pearson's chi-square test for categories."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def chi_square(old: ArrayLike, fresh: ArrayLike) -> tuple[float, float]:
    """Test whether two rows of counts have the same shares.

    Args:
        old: Rows per category, shape (c,).
        fresh: Rows per category, shape (c,), in the same order.
    Returns:
        Cramer's V, an effect in [0, 1], and the p-value.
    Source:
        Pearson 1900; Cramer 1946, "Mathematical Methods of Statistics", 21.9.
    Example:
        >>> effect, p = chi_square([50, 50], [80, 20])
        >>> round(effect, 3), p < 0.001
        (0.314, True)
    """
    table = np.array([old, fresh], np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return 0.0, 1.0
    result = stats.chi2_contingency(table, correction=False)
    return float(np.sqrt(result.statistic / table.sum())), float(result.pvalue)
