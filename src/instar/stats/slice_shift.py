"""How much further a number moved within one slice than within the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DECILES = np.arange(1, 10) / 10
FEWEST = 100  # rows of a slice, old and fresh, below which its deciles are not trusted


def deciles(values: Floats, codes: NDArray[np.int64], slices: int) -> Floats:
    """Take the nine inner deciles of a number within each slice.

    Args:
        values: Shape (n,); NaN is missing.
        codes: Slice of each row, shape (n,), in 0..slices-1; others are left out.
    Returns:
        Shape (slices, 9); NaN for a slice of fewer than 100 present values.
    Example:
        >>> deciles(np.arange(101.0), np.zeros(101, np.int64), 1)[0, [0, 4]].tolist()
        [10.0, 50.0]
    """
    there = ~np.isnan(values) & (codes >= 0)
    values, codes = values[there], codes[there]
    order = np.lexsort((values, codes))
    values = values[order]
    starts = np.searchsorted(codes[order], np.arange(slices + 1))
    sizes = np.diff(starts)
    out = np.full((slices, len(DECILES)), np.nan)
    for number in np.flatnonzero(sizes >= FEWEST):
        places = starts[number] + np.rint(DECILES * (sizes[number] - 1)).astype(np.int64)
        out[number] = values[places]
    return out


def chance(at: Floats, sizes: NDArray[np.int64]) -> Floats:
    """Say how far deciles lie off by chance: their standard errors, averaged.

    The density at a decile is read off the distance of the deciles beside it.

    Args:
        at: Deciles, shape (slices, 9).
        sizes: Present values per slice, shape (slices,).
    Source:
        The asymptotic variance of a sample quantile, q (1 - q) / (n f^2).
    Example:
        >>> uniform = np.arange(1, 10)[None, :] / 10
        >>> float(chance(uniform, np.array([10_000]))[0].round(4))
        0.0042
    """
    spread = np.gradient(at, DECILES, axis=1)  # 1 / density
    error = np.sqrt(DECILES * (1 - DECILES) / np.maximum(sizes, 1)[:, None]) * spread
    return np.asarray(error.mean(axis=1))


def expected(old: Floats, fresh: Floats) -> Floats:
    """Say where each slice's deciles would be, had it moved as the middle one of the others.

    Args:
        old: Deciles before, shape (slices, 9).
        fresh: Deciles now, shape (slices, 9).
    Returns:
        Shape (slices, 9); NaN where there is no other slice to go by.
    Example:
        >>> expected(np.array([[0.0], [5.0], [9.0]]), np.array([[1.0], [6.0], [0.0]])).ravel()
        array([-4.,   1.,   10.])
    """
    moved = fresh - old
    known = np.asarray(~np.isnan(moved).any(axis=1))
    out = np.full(old.shape, np.nan)
    for number in np.flatnonzero(known):
        others = known.copy()
        others[number] = False
        if others.any():
            out[number] = old[number] + np.median(moved[others], axis=0)
    return out
