"""Margin: the rows between two classes."""

from __future__ import annotations

import numpy as np

from instar.labels.pool import Chosen, Floats, Pool


def margin(pool: Pool, count: int) -> Chosen:
    """Choose the rows whose two likeliest classes are closest; the score is how far apart.

    Raises:
        NoClasses: the champion is a regression.
    Source:
        Scheffer et al. 2001, "Active Hidden Markov Models for Information Extraction"; Settles
        2009, section 3.1.
    """
    scores = margins(pool.probabilities("margin", "choose another way: --by core-set"))
    rows = np.argsort(scores, kind="stable")[:count]
    return Chosen(rows, scores[rows])


def margins(probabilities: Floats) -> Floats:
    """Compute the largest probability less the second largest, in [0, 1], shape (n,).

    Example:
        >>> margins(np.array([[0.5, 0.125, 0.375]])).tolist()
        [0.125]
    """
    best = np.sort(probabilities.astype(np.float64), axis=1)[:, ::-1]
    return np.asarray(best[:, 0] - best[:, 1])
