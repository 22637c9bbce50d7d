"""Pseudo-labels: the champion's own answers, where it is sure, and how to see whether it may be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from instar.core.errors import InputError
from instar.labels.pool import Chosen, Pool


class NobodySure(InputError):
    """Say that no answer is surer than the threshold; nothing was written."""

    code = "input.nobody_sure"

    def __init__(self, threshold: float, rows: int, best: float) -> None:
        super().__init__(
            f"rows whose answer is surer than {threshold:g}",
            f"none of {rows:,}; the surest is {best:.4f}",
            "lower --pseudo, or have rows labelled by people: instar label DATA --rows N",
        )


def sure(pool: Pool, threshold: float) -> Chosen:
    """Take the rows whose likeliest class has more than `threshold`, in the order of the data.

    Raises:
        NoClasses: the champion is a regression.
        NobodySure: there is no such row.
    Source:
        Lee 2013, "Pseudo-Label"; the threshold as in Sohn et al. 2020, "FixMatch".
    """
    best = pool.probabilities("pseudo-labels", "have rows labelled: --rows N --by core-set").max(1)
    rows = np.flatnonzero(best > threshold)
    if not len(rows):
        raise NobodySure(threshold, len(best), float(best.max()))
    return Chosen(rows.astype(np.int64), best[rows])


def audit(chosen: Chosen, count: int, seed: int) -> Chosen:
    """Draw rows at random, for a person to label unseen: their errors are those of all.

    Example:
        >>> some = Chosen(np.arange(5), np.ones(5))
        >>> sorted(audit(some, 9, seed=0).rows.tolist())
        [0, 1, 2, 3, 4]
    """
    random = np.random.default_rng(seed)
    places = random.permutation(len(chosen.rows))[:count]
    return Chosen(chosen.rows[places], chosen.scores[places])


def answers(pool: Pool, rows: NDArray[np.int64]) -> list[str]:
    """Name the likeliest class of each row; where a row has not one class, none."""
    classes = pool.task.classes if pool.task.exclusive else ()
    return [classes[place] for place in pool.scores[rows].argmax(axis=1)] if classes else []
