"""Population stability index: how far shares have moved from bin to bin."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FLOOR = 0.5  # an empty bin counts as half a row: the index stays finite


def psi(old: ArrayLike, fresh: ArrayLike) -> float:
    """Compare two histograms over the same bins.

    Args:
        old: Rows per bin, shape (b,).
        fresh: Rows per bin, shape (b,).
    Returns:
        0 for equal shares, and without bound; by convention 0.1 is a small shift, 0.25 a large.
    Source:
        Siddiqi 2006, "Credit Risk Scorecards"; it is the symmetrised Kullback-Leibler divergence.
    Example:
        >>> psi([50, 50], [50, 50])
        0.0
        >>> round(psi([50, 50], [80, 20]), 3)
        0.416
    """
    before = np.maximum(np.asarray(old, np.float64), FLOOR)
    now = np.maximum(np.asarray(fresh, np.float64), FLOOR)
    p, q = before / before.sum(), now / now.sum()
    return float(((q - p) * np.log(q / p)).sum())


def edges(old: ArrayLike, bins: int = 10) -> NDArray[np.float64]:
    """Cut numbers into bins that held equally many old rows; tied cuts are merged.

    Returns:
        The inner edges, ascending, at most `bins - 1`: value `x` lies in bin
        `searchsorted(edges, x, side="right")`.
    Example:
        >>> edges([1, 2, 3, 4], bins=2).tolist()
        [2.5]
    """
    inner = np.arange(1, bins) / bins
    return np.unique(np.quantile(np.asarray(old, np.float64), inner))


def histogram(values: ArrayLike, inner: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count values per bin, shape (len(inner) + 1,).

    Example:
        >>> histogram([1, 2, 3, 4], edges([1, 2, 3, 4], bins=2)).tolist()
        [2, 2]
    """
    places = np.searchsorted(inner, np.asarray(values, np.float64), side="right")
    return np.bincount(places, minlength=len(inner) + 1)
