"""Resample rows to bound a metric, or the difference of two models on the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from instar.core.finding import Interval
from instar.stats.metrics.metric import Floats, Labels, Metric, arrays, chunks, ratio

CELLS = 1 << 20  # resamples x rows handled at once: 8 MB a working array, so it stays in cache


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value, its interval, its standard error, and the rows behind it."""

    value: float
    interval: Interval
    error: float
    n: int


def bootstrap(
    metric: Metric, scores: Floats, labels: Labels, *, resamples: int, level: float, seed: int
) -> Estimate:
    """Bound one model's metric by resampling rows with replacement.

    Args:
        scores: Shape (n, k).
        labels: Shape (n,).
        resamples: How often.
        level: Confidence of the interval, in (0, 1).
        seed: Same seed, same interval.
    Returns:
        The metric on all rows with its percentile interval.
    Source:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
    """
    rows, truth = arrays(scores, labels, metric.dims)
    measure = metric.prepare(rows, truth)
    drawn = np.concatenate([measure(w) for w in _weights(len(rows), resamples, seed)])
    return _estimate(metric(rows, truth), drawn, level, len(rows))


def paired_bootstrap(
    metric: Metric,
    champion: Floats,
    candidate: Floats,
    labels: Labels,
    *,
    resamples: int,
    level: float,
    seed: int,
) -> Estimate:
    """Bound the candidate's gain over the champion: both are measured on the same resamples.

    Args:
        champion: Scores, shape (n, k).
        candidate: Scores of the same rows.
        labels: Shape (n,).
        resamples: How often.
        level: Confidence of the interval, in (0, 1).
        seed: Same seed, same interval.
    Returns:
        The gain, positive where the candidate is better, with its percentile interval; a share of
        the champion's value for a relative metric.
    Source:
        Efron and Tibshirani 1993, chapter 13; paired as in Koehn 2004, "Statistical Significance
        Tests for Machine Translation Evaluation".
    """
    old, truth = arrays(champion, labels, metric.dims)
    new, _ = arrays(candidate, labels, metric.dims)
    before, after = metric.prepare(old, truth), metric.prepare(new, truth)
    reference = metric(old, truth)
    drawn = np.concatenate(
        [metric.gain(before(w), after(w), reference) for w in _weights(len(truth), resamples, seed)]
    )
    once = np.ones((1, len(truth)))
    value = float(metric.gain(before(once), after(once), reference)[0])
    return _estimate(value, drawn, level, len(truth))


def bounded_share(
    hits: Floats, cells: Floats, *, resamples: int, level: float, seed: int
) -> Interval:
    """Bound the share of cells that are hit, where cells of one row are no independent draws.

    Args:
        hits: How many cells of each row, shape (n,).
        cells: Out of how many, shape (n,).
        resamples: How often rows are drawn with replacement.
        level: Confidence of the interval, in (0, 1).
        seed: Same seed, same interval.
    Source:
        Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8.
    Example:
        >>> hits, cells = np.array([0.0, 4.0] * 50), np.full(100, 4.0)
        >>> found = bounded_share(hits, cells, resamples=200, level=0.95, seed=0)
        >>> 0.38 < found.low < 0.45 < 0.55 < found.high < 0.62
        True
    """
    drawn = [ratio(w @ hits, w @ cells) for w in _weights(len(hits), resamples, seed)]
    share = float(ratio(hits.sum(), cells.sum()))
    return _estimate(share, np.concatenate(drawn), level, len(hits)).interval


def _weights(rows: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Draw how often each row is taken: arrays (b, n) of counts, b resamples at a time."""
    rng = np.random.default_rng(seed)
    for count in chunks(resamples, max(1, CELLS // rows)):
        drawn = rng.integers(0, rows, (count, rows), dtype=np.int32)
        drawn += (np.arange(count, dtype=np.int32) * rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=count * rows)
        yield counts.reshape(count, rows).astype(np.float64)


def _estimate(value: float, drawn: Floats, level: float, rows: int) -> Estimate:
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 2 or not np.isfinite(value):  # one class only, say: nothing can be bounded
        return Estimate(float("nan"), Interval(float("-inf"), float("inf"), level), 0.0, rows)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, Interval(float(low), float(high), level), float(drawn.std(ddof=1)), rows)
