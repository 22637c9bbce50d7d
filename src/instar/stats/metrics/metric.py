"""What a metric is: a weighted mean or ratio of rows, so that it can be resampled at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from instar.core.data import TaskKind
from instar.core.errors import InputError

Floats: TypeAlias = NDArray[np.floating[Any]]
Labels: TypeAlias = NDArray[Any]
Weighted: TypeAlias = Callable[[Floats, Labels], Callable[[Floats], Floats]]

CLASSES = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})


class BadScores(InputError):
    """Refuse scores and labels that do not belong together."""

    code = "input.bad_scores"

    def __init__(self, scores: tuple[int, ...], labels: tuple[int, ...]) -> None:
        super().__init__(
            "scores and labels of the same rows, at least one",
            f"shapes {scores} and {labels}",
            "pass the rows of one data set",
        )


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure of quality.

    `prepare(scores, labels)` looks at the rows once and returns a function that takes weights,
    shape (b, n), and gives the metric of each of the b weightings, shape (b,); NaN where it is
    undefined. `higher` says which way is better. With `relative`, differences and margins are
    shares of the champion's value, since the metric has the unit of the data. Labels have `dims`
    axes. `at` makes `prepare` for other thresholds than one half, one a label, where the metric
    hangs on them. `means(scores, labels)` gives values in independent groups of rows, whose means
    err as the metric does in sum; None where there is no such formula.
    """

    name: str
    prepare: Weighted
    kinds: frozenset[TaskKind]
    higher: bool = True
    relative: bool = False
    dims: int = 1
    at: Callable[[Sequence[float]], Weighted] | None = None
    means: Callable[[Floats, Labels], tuple[Floats, ...]] | None = None

    def __call__(self, scores: ArrayLike, labels: ArrayLike) -> float:
        """Measure scores (n, k) against labels (n,); NaN if a score is not finite."""
        rows, truth = arrays(scores, labels, self.dims)
        if not np.isfinite(rows).all():
            return float("nan")
        return float(self.prepare(rows, truth)(np.ones((1, len(rows))))[0])

    def gain(self, champion: Floats, candidate: Floats, champion_value: float) -> Floats:
        """Turn two values into the candidate's gain: positive is better, a share if relative."""
        unit = max(abs(champion_value), 1e-12) if self.relative else 1.0
        return (candidate - champion) / (unit if self.higher else -unit)


def arrays(scores: ArrayLike, labels: ArrayLike, dims: int = 1) -> tuple[Floats, Labels]:
    """Check scores (n, k, ...) and labels of `dims` axes, and return them as arrays.

    Raises:
        BadScores: shapes do not fit, or there are no rows.
    """
    rows, truth = np.asarray(scores, np.float64), np.asarray(labels)
    # Scores of pixels have an axis more than masks; boxes have as many as objects.
    axes = (2,) if dims < 3 else (dims, dims + 1)
    fits = rows.ndim in axes and truth.ndim == dims
    if not fits or len(rows) != len(truth) or not len(rows):
        raise BadScores(rows.shape, truth.shape)
    return rows, truth


def mean_of(values: Floats) -> Callable[[Floats], Floats]:
    """Average one value a row, shape (n,), under weights (b, n)."""
    return lambda weights: (weights @ values) / weights.sum(axis=1)


def ratio(above: Floats, below: Floats) -> Floats:
    """Divide, with NaN where there is nothing to divide by."""
    empty: Floats = np.full(np.shape(above), np.nan)
    return np.divide(above, below, out=empty, where=below != 0)


def chunks(total: int, size: int) -> Iterator[int]:
    """Cut `total` into pieces of at most `size`.

    Example:
        >>> list(chunks(5, 2))
        [2, 2, 1]
    """
    for start in range(0, total, size):
        yield min(size, total - start)
