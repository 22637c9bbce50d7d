"""Scan all windows of consecutive blocks for the one that stands out most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWS = 400


def windows(blocks: int, longest: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List all windows of consecutive blocks as first block and end, exclusive.

    Example:
        >>> first, end = windows(2)
        >>> list(zip(first.tolist(), end.tolist()))
        [(0, 1), (0, 2), (1, 2)]
    """
    first, end = np.triu_indices(blocks + 1, 1)
    keep = end - first <= (longest or blocks)
    return first[keep].astype(np.int64), end[keep].astype(np.int64)


def cuts(rows: int, blocks: int) -> NDArray[np.int64]:
    """Cut rows into blocks of equal length: block b is rows `cuts[b]` to `cuts[b + 1]`.

    Example:
        >>> cuts(10, 3).tolist()
        [0, 3, 6, 10]
    """
    return np.linspace(0, rows, blocks + 1).astype(np.int64)


def running(values: NDArray[np.float64], at: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum values up to each cut, so that a window's sum is the difference of two.

    Example:
        >>> running(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 3])).tolist()
        [0.0, 1.0, 6.0]
    """
    return np.concatenate([[0.0], np.cumsum(np.add.reduceat(values, at[:-1]))])


def critical(variances: NDArray[np.float64], alpha: float, seed: int) -> float:
    """Find what the largest standardised window sum exceeds with chance `alpha` when all is well.

    Windows overlap, so that counting them all (Bonferroni) would ask for too much; the sums
    are drawn instead, normal, with the variance of each block.

    Args:
        variances: One per block, shape (b,).
    Example:
        >>> 2.5 < critical(np.ones(16), 0.05, seed=0) < 3.5
        True
    """
    rng = np.random.default_rng(seed)
    first, end = windows(len(variances))
    noise = rng.standard_normal((DRAWS, len(variances))) * np.sqrt(variances)
    sums = np.concatenate([np.zeros((DRAWS, 1)), noise.cumsum(axis=1)], axis=1)
    spread = np.concatenate([[0.0], np.cumsum(variances)])
    spread = np.sqrt(np.maximum(spread[end] - spread[first], np.finfo(float).tiny))
    largest = np.max((sums[:, end] - sums[:, first]) / spread, axis=1)
    return float(np.quantile(largest, 1 - alpha))
