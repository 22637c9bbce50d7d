"""McNemar's test: whether two models err on different rows by more than chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr


def mcnemar(right_before: ArrayLike, right_now: ArrayLike) -> tuple[int, int, float]:
    """Count the rows that were lost and won, and test whether one outweighs the other.

    Args:
        right_before: Whether the champion is right, row by row, shape (n,).
        right_now: The same of the candidate.
    Returns:
        Rows lost (right before, wrong now), rows won, and the exact two-sided p-value.
    Source:
        McNemar 1947, "Note on the Sampling Error of the Difference Between Correlated
        Proportions"; the exact form is the sign test on the discordant rows.
    Example:
        >>> mcnemar([True, True, False], [True, False, False])
        (1, 0, 1.0)
    """
    before, now = np.asarray(right_before, bool), np.asarray(right_now, bool)
    lost, won = int((before & ~now).sum()), int((~before & now).sum())
    if lost + won == 0:
        return lost, won, 1.0
    return lost, won, float(min(1.0, 2 * bdtr(min(lost, won), lost + won, 0.5)))
