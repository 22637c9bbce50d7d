"""Core-set: the rows that are least like any that is labelled."""

from __future__ import annotations

import numpy as np

from instar.labels.pool import Chosen, Floats, Pool

_BLOCK = 256  # centres at a time: (n, 256) distances are in memory


def core_set(pool: Pool, count: int) -> Chosen:
    """Choose rows one by one, each the farthest from all that are labelled or chosen.

    Far is Euclidean, between features of the champion's last layer; the score is how far. The
    largest distance that remains is at most twice the smallest possible.

    Raises:
        NoPlace: the network does not end in a Linear layer.
    Source:
        Sener & Savarese 2018, "Active Learning for Convolutional Neural Networks: A Core-Set
        Approach", algorithm 1 (k-centre greedy).
    """
    return k_centre(pool.features(), pool.known(), count)


def k_centre(features: Floats, known: Floats, count: int) -> Chosen:
    """Choose `count` of the features (n, width), beginning with the centres `known` (m, width).

    Without known centres the row nearest the middle comes first, with an infinite score.

    Example:
        >>> line = np.array([[0.0], [1.0], [4.0], [10.0]])
        >>> found = k_centre(line, np.array([[0.0]]), 2)
        >>> found.rows.tolist(), found.scores.tolist()
        ([3, 2], [10.0, 4.0])
    """
    points = features.astype(np.float64)
    least = np.full(len(points), np.inf)  # squared distance to the nearest centre
    for start in range(0, len(known), _BLOCK):
        centres = known[start : start + _BLOCK].astype(np.float64)
        squares = (points**2).sum(1)[:, None] + (centres**2).sum(1) - 2 * points @ centres.T
        least = np.minimum(least, squares.min(axis=1))
    least = np.maximum(least, 0.0)  # rounding may leave less than nothing
    middle = ((points - points.mean(axis=0)) ** 2).sum(axis=1)
    rows: list[int] = []
    scores: list[float] = []
    for _ in range(min(count, len(points))):
        row = int(least.argmax() if np.isfinite(least).any() else middle.argmin())
        rows.append(row)
        scores.append(float(np.sqrt(least[row])))
        least = np.minimum(least, ((points - points[row]) ** 2).sum(axis=1))
        least[rows] = -1.0  # a twin of a chosen row may still be chosen, the row itself not
    return Chosen(np.array(rows, np.int64), np.array(scores))
