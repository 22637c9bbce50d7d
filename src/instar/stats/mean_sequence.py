"""A confidence sequence for a mean: an interval that holds at all times at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from instar.core.finding import Interval
from instar.stats.betting import OutOfRange, smallest


def mean_sequence(values: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """Bound the mean of values in [0, 1], however often one looks.

    Args:
        values: In the order they came, shape (n,), in [0, 1], with one mean.
        alpha: Probability that the interval ever fails to hold, both sides together.
    Returns:
        The interval, within [0, 1].
    Raises:
        OutOfRange: a value lies outside [0, 1].
    Source:
        Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting",
        section 4.
    Example:
        >>> interval = mean_sequence([0.0, 1.0] * 500)
        >>> 0.4 < interval.low < 0.5 < interval.high < 0.6
        True
    """
    x = np.asarray(values, float)
    if not ((x >= 0) & (x <= 1)).all():
        raise OutOfRange
    if not len(x):
        return Interval(0.0, 1.0, 1 - alpha)
    low = smallest(lambda mean: x - mean, alpha / 2, 0.0, float(x.mean()))
    high = -smallest(lambda mean: -x - mean, alpha / 2, -1.0, -float(x.mean()))
    return Interval(low, high, 1 - alpha)
