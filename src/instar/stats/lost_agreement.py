"""Find blocks of rows in which labels no longer go along with a model's scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from instar.stats.neighbours import deviations
from instar.stats.scan import cuts, running, windows

Floats = NDArray[np.float64]
RADIUS, BLOCKS, BLOCK_ROWS, FEWEST = 5, 32, 50, 8
FLOOR, TINY = 0.1, 1e-12  # a block of equal labels is no surer than a tenth of the usual variance


@dataclass(frozen=True, slots=True)
class Lost:
    """Rows `first` to `last` (exclusive): `share` estimates how many have a foreign label.

    More than 1 means that labels contradict the scores (swapped classes). `low` and `high` bound
    it, corrected for all blocks looked at.
    """

    first: int
    last: int
    share: float
    low: float
    high: float


def slopes(scores: Floats, truth: Floats, at: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Regress labels on scores block by block, each less its neighbours: slopes and variances.

    Rows whose labels were drawn from elsewhere count 0 in the slope, so that it falls in
    proportion to their share.

    Returns:
        Slope and its variance (robust to unequal spread) per block, shape (b,) each.
    """
    own, label = deviations(scores, RADIUS), deviations(truth, RADIUS)
    own = np.where(np.isnan(truth), 0.0, own)
    square = np.maximum(np.diff(running((own**2).sum(axis=1), at)), TINY)
    slope = np.diff(running((own * label).sum(axis=1), at)) / square
    rows = np.repeat(slope, np.diff(at))[:, None]
    error = (own * (label - rows * own)).sum(axis=1)
    return slope, np.diff(running(error**2, at)) / square**2


def lost_agreement(scores: Floats, truth: Floats, *, limit: float, alpha: float) -> Lost | None:
    """Scan for the block whose labels agree with the scores much less than those of the others.

    Each block is held against the rows before and behind it in the same file, not against the
    past, and has to fall below both: a relation that drifts away goes one way. The spread between
    blocks that is usual in the rest widens the interval, since some days are harder to predict.

    Args:
        scores: The champion's scores, shape (n, k), in the order of the file.
        truth: What they should be, shape (n, k); NaN where there is no label.
        limit: Share of foreign labels above which a block is named.
        alpha: Chance of naming a block when none lost its labels.
    Returns:
        The clearest block, at most half of the rows; None where there is none, where scores and
        labels never agreed, or where there are fewer than 400 rows.
    Source:
        Between-block variance as in DerSimonian and Laird 1986, "Meta-Analysis in Clinical
        Trials".
    Example:
        >>> rng = np.random.default_rng(0)
        >>> p = rng.random((4000, 1)); y = (rng.random((4000, 1)) < p) * 1.0
        >>> lost_agreement(p, y, limit=0.3, alpha=0.01)
        >>> y[1000:2000] = 1 - y[1000:2000]
        >>> found = lost_agreement(p, y, limit=0.3, alpha=0.01)
        >>> found.first, found.last
        (1000, 2000)
    """
    blocks = min(BLOCKS, len(scores) // BLOCK_ROWS)
    if blocks < FEWEST:
        return None
    at = cuts(len(scores), blocks)
    slope, variance = slopes(scores, truth, at)
    floor = np.median(variance) * FLOOR
    if floor < TINY:  # labels that do not vary among neighbours tell nothing
        return None
    variance = np.maximum(variance, floor)
    first, end = windows(blocks, blocks // 2)
    place = np.arange(blocks)
    before, behind = place < first[:, None], place >= end[:, None]  # (w, b)
    variance = variance + _between(slope, variance, before | behind)[:, None]
    here, here_spread = _pooled(slope, variance, ~(before | behind))
    bound = -float(ndtri(alpha / len(first)))
    z = np.minimum(
        *(
            _z(here, here_spread, *_pooled(slope, variance, side), limit, bound)
            for side in (before, behind)
        )
    )
    best = int(z.argmax())
    if z[best] < bound:
        return None
    rest, rest_spread = _pooled(slope, variance, before | behind)
    share = float(1 - here[best] / rest[best])
    spread = here_spread[best] + (1 - share) ** 2 * rest_spread[best]
    half = bound * float(np.sqrt(spread) / rest[best])
    low = max(limit, share - half)  # the test was passed: the bound lies above the limit
    return Lost(int(at[first[best]]), int(at[end[best]]), share, low, share + half)


def _z(
    here: Floats, here_spread: Floats, side: Floats, side_spread: Floats, limit: float, bound: float
) -> Floats:
    """Hold windows against the blocks on one side of them; a side that tells nothing is no rest.

    A window at an end of the file has no blocks on that side. What changed there for good is not
    told from drift, unless labels contradict the scores.
    """
    with np.errstate(invalid="ignore"):
        z = ((1 - limit) * side - here) / np.sqrt(here_spread + (1 - limit) ** 2 * side_spread)
        z[side < bound * np.sqrt(side_spread)] = -np.inf
    return np.where(np.isfinite(side_spread), z, -here / np.sqrt(here_spread))


def _pooled(slope: Floats, variance: Floats, chosen: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    weight = chosen / variance
    total = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (weight * slope).sum(axis=1) / total, 1 / total


def _between(slope: Floats, variance: Floats, chosen: NDArray[np.bool_]) -> Floats:
    weight = chosen / variance
    total = weight.sum(axis=1)
    mean = (weight * slope).sum(axis=1) / total
    spread = (weight * (slope - mean[:, None]) ** 2).sum(axis=1)
    excess = spread - (chosen.sum(axis=1) - 1)
    return np.asarray(np.maximum(0.0, excess / (total - (weight**2).sum(axis=1) / total)))
