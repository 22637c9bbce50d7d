"""Entropy: the rows whose answer says least."""

from __future__ import annotations

import numpy as np

from instar.labels.pool import Chosen, Floats, Pool


def entropy(pool: Pool, count: int) -> Chosen:
    """Choose the rows with the largest entropy of the probabilities, in nats.

    Raises:
        NoClasses: the champion is a regression.
    Source:
        Shannon 1948; Settles 2009, "Active Learning Literature Survey", section 3.1.
    """
    scores = entropies(pool.probabilities("entropy", "choose another way: --by core-set"))
    rows = np.argsort(-scores, kind="stable")[:count]
    return Chosen(rows, scores[rows])


def entropies(probabilities: Floats) -> Floats:
    """Compute the entropy of each row, in nats, shape (n,); 0 for a row that is certain.

    Example:
        >>> entropies(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4).tolist()
        [0.6931, 0.0]
    """
    p = np.clip(probabilities.astype(np.float64), 0.0, 1.0)
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1) + 0.0)
