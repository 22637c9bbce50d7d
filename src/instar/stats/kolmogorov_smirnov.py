"""The two-sample Kolmogorov-Smirnov test for numbers."""

from __future__ import annotations

from numpy.typing import ArrayLike
from scipy import stats


def kolmogorov_smirnov(old: ArrayLike, fresh: ArrayLike) -> tuple[float, float]:
    """Test whether two samples of numbers come from one distribution.

    Returns:
        The largest distance of the distribution functions, a fraction, and the asymptotic p-value.
    Source:
        Smirnov 1948, "Table for Estimating the Goodness of Fit of Empirical Distributions".
    Example:
        >>> kolmogorov_smirnov([1, 2, 3, 4], [1, 2, 3, 4])
        (0.0, 1.0)
    """
    result = stats.ks_2samp(old, fresh, method="asymp")
    return float(result.statistic), float(result.pvalue)
