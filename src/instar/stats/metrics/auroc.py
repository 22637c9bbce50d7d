"""Area under the ROC curve."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

from instar.core.data import TaskKind
from instar.stats.metrics.metric import Floats, Labels, Metric, ratio


def prepare(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    """Sort the rows by score once; each weighting is then two running sums.

    The area is the chance that a positive row scores above a negative one, ties counting half.
    Rows of equal score are one step of the curve.

    Source:
        Hanley and McNeil 1982, "The Meaning and Use of the Area under a ROC Curve".
    """
    score = scores[:, -1]
    order = np.argsort(score, kind="stable")
    steps = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    positive = (labels[order] == 1).astype(np.float64)
    plain = len(steps) == len(order)

    def area(weights: Floats) -> Floats:
        ranked = weights[:, order]
        up = ranked * positive
        down = ranked - up
        if not plain:
            up, down = np.add.reduceat(up, steps, axis=1), np.add.reduceat(down, steps, axis=1)
        below = np.cumsum(down, axis=1)
        pairs = np.einsum("bn,bn->b", up, below) - 0.5 * np.einsum("bn,bn->b", up, down)
        return ratio(pairs, up.sum(axis=1) * below[:, -1])

    return area


def placements(scores: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Place each positive row among the negative ones, and each negative among the positive.

    Returns:
        For each positive the share of negatives that score below it, ties counting half, and for
        each negative the share of positives above it. The mean of either is the area.
    Source:
        DeLong, DeLong and Clarke-Pearson 1988; by ranks as in Sun and Xu 2014, "Fast Implementation
        of DeLong's Algorithm".
    Example:
        >>> rows = np.array([[0.1], [0.4], [0.35], [0.8]])
        >>> [part.tolist() for part in placements(rows, np.array([0, 0, 1, 1]))]
        [[0.5, 1.0], [1.0, 0.5]]
    """
    score, yes = scores[:, -1], labels == 1
    ranks = rankdata(score)
    below = (ranks[yes] - rankdata(score[yes])) / max(1, int((~yes).sum()))
    above = 1 - (ranks[~yes] - rankdata(score[~yes])) / max(1, int(yes.sum()))
    return below, above


AUROC = Metric("auroc", prepare, frozenset({TaskKind.BINARY}), means=placements)


def roc_curve(scores: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Trace the curve: false and true positive rates from (0, 0) to (1, 1), one point a step.

    Example:
        >>> false, true = roc_curve(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))
        >>> false.tolist(), true.tolist()
        ([0.0, 0.0, 1.0], [0.0, 1.0, 1.0])
    """
    order = np.argsort(-scores[:, -1], kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order, -1])), len(order) - 1)
    positive = labels[order] == 1
    true, false = np.cumsum(positive)[ends], np.cumsum(~positive)[ends]
    return (
        np.concatenate([[0.0], false / max(1, false[-1])]),
        np.concatenate([[0.0], true / max(1, true[-1])]),
    )
