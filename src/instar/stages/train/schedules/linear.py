"""Linear: up and down in straight lines."""

from __future__ import annotations

from instar.stages.train.schedules.moment import Moment
from instar.stages.train.schedules.warmup import WARM, warmup


def linear(moment: Moment) -> float:
    """Warm up in a straight line, then go down to zero in another.

    Source:
        Smith 2015, "Cyclical Learning Rates for Training Neural Networks" (triangular), one cycle.
    Example:
        >>> [round(linear(Moment(at, 20)), 2) for at in (0, 6, 13, 20)]
        [0.04, 1.0, 0.5, 0.0]
    """
    return min(warmup(moment), (1 - moment.done) / (1 - WARM))
