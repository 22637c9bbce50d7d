"""Find blocks of rows whose labels belong to the rows before or behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instar.stats.neighbours import deviations
from instar.stats.scan import critical, cuts, running, windows

Floats = NDArray[np.float64]
LAGS = (1, -1, 2, -2, 3, -3)
RADIUS, BLOCKS, BLOCK_ROWS, MOST = 5, 64, 50, 5


@dataclass(frozen=True, slots=True)
class Moved:
    """Rows `first` to `last` (exclusive) fit the labels of the rows `lag` places further on.

    `share` estimates how many of them carry a foreign label; `low` and `high` bound it,
    corrected for all blocks and lags that were looked at.
    """

    first: int
    last: int
    lag: int
    share: float
    low: float
    high: float


def moved_labels(
    scores: Floats, truth: Floats, *, limit: float, alpha: float, seed: int
) -> list[Moved]:
    """Scan for blocks in which a neighbour's label fits better than a row's own.

    A model's score, less the scores around it, goes along with the row's label, less the
    labels around it, even where the model is stale; with the label of a row a few places on it
    does not. Where it does, the labels were moved. Both are measured on the same rows, so that
    rows which are hard to predict, or a changed relation, alter nothing.

    Args:
        scores: The champion's scores, shape (n, k), in the order of the file.
        truth: What they should be, shape (n, k); NaN where there is no label.
        limit: Share of foreign labels above which a block is named.
        alpha: Chance of naming any block when no label was moved.
    Returns:
        Blocks, the clearest first, at most five; none for fewer than 100 rows.
    Example:
        >>> rng = np.random.default_rng(0)
        >>> p = rng.random((4000, 1)); y = (rng.random((4000, 1)) < p) * 1.0
        >>> y[1000:2000] = np.roll(y[1000:2000], 1, axis=0)
        >>> [found] = moved_labels(p, y, limit=0.3, alpha=0.01, seed=0)
        >>> found.lag, round(found.first, -3), round(found.last, -3)
        (1, 1000, 2000)
    """
    blocks = min(BLOCKS, len(scores) // BLOCK_ROWS)
    if blocks < 2:
        return []
    at = cuts(len(scores), blocks)
    own, label = deviations(scores, RADIUS), deviations(truth, RADIUS)
    fits = {lag: _fit(own, np.roll(label, -lag, axis=0)) for lag in (0, *LAGS)}
    found: list[Moved] = []
    while len(found) < MOST and (best := _best(fits, at, limit, alpha, seed)):
        found.append(best)
        for fit in fits.values():
            fit[best.first : best.last] = 0.0
    return found


def _fit(own: Floats, label: Floats) -> Floats:
    return np.asarray((own * label).sum(axis=1))  # (n,)


def _best(
    fits: dict[int, Floats], at: NDArray[np.int64], limit: float, alpha: float, seed: int
) -> Moved | None:
    first, end = windows(len(at) - 1)
    bound = _bound(fits, at, limit, alpha, seed)
    best, place, chosen = bound, -1, 0
    for lag in LAGS:
        excess = _z((1 - limit) * fits[lag] - limit * fits[0], at)
        # A neighbour's label must fit at all: a block in which the own label fits badly is not yet
        # one in which another fits.
        z = np.minimum(excess, _z(fits[lag], at))
        # Swapped labels are not moved ones: they fit worse than not at all.
        z[_z(fits[lag] + fits[0], at) < 0] = -np.inf
        if z.max() > best:
            best, place, chosen = float(z.max()), int(z.argmax()), lag
    if place < 0:
        return None
    window = slice(int(at[first[place]]), int(at[end[place]]))
    share, low, high = _share(fits[chosen][window], fits[0][window], bound)
    rows = _extent(fits[chosen] - fits[0], window)
    return Moved(rows.start, rows.stop, chosen, share, low, high)


def _extent(signal: Floats, window: slice) -> slice:
    """Grow a window to where the signal's sum is largest: past its true ends the signal falls.

    A tenth of the window's own level is the least that growth has to bring, so that rows which
    tell nothing either way stay outside.
    """
    signal = signal - signal[window].mean() / 10
    before = signal[: window.start][::-1].cumsum()
    behind = signal[window.stop :].cumsum()
    start = window.start - (int(before.argmax()) + 1 if before.max(initial=0) > 0 else 0)
    stop = window.stop + (int(behind.argmax()) + 1 if behind.max(initial=0) > 0 else 0)
    return slice(start, stop)


def _bound(
    fits: dict[int, Floats], at: NDArray[np.int64], limit: float, alpha: float, seed: int
) -> float:
    signal = (1 - limit) * fits[LAGS[0]] - limit * fits[0]
    return critical(np.diff(running(signal**2, at)), alpha / len(LAGS), seed)


def _z(signal: Floats, at: NDArray[np.int64]) -> Floats:
    first, end = windows(len(at) - 1)
    total, square = running(signal, at), running(signal**2, at)
    spread = np.sqrt(np.maximum(square[end] - square[first], np.finfo(float).tiny))
    return np.asarray((total[end] - total[first]) / spread)


def _share(other: Floats, own: Floats, bound: float) -> tuple[float, float, float]:
    """Estimate the share of moved labels and invert the test for its bounds."""
    fits, fits_own = float(other.sum()), max(0.0, float(own.sum()))
    share = fits / (fits + fits_own)
    grid = np.linspace(0, 1, 201)
    signal = [(1 - guess) * other - guess * own for guess in grid]
    z = np.array([s.sum() / max(np.sqrt((s**2).sum()), 1e-300) for s in signal])
    inside = grid[np.abs(z) <= bound]
    low, high = (inside.min(), inside.max()) if len(inside) else (share, share)
    return share, round(float(min(low, share)), 3), round(float(max(high, share)), 3)
