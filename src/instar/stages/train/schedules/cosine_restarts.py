"""Cosine with warm restarts: down, and back to the peak, once a period."""

from __future__ import annotations

import math

from instar.stages.train.schedules.moment import Moment


def cosine_restarts(moment: Moment) -> float:
    """Anneal from the peak to zero along a half cosine, anew every `period` epochs.

    A training shorter than a period ends on the way down.

    Source:
        Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts".
    Example:
        >>> [round(cosine_restarts(Moment(at, 20, period=5)), 2) for at in (0, 2.5, 4.999, 5)]
        [1.0, 0.5, 0.0, 1.0]
    """
    return (1 + math.cos(math.pi * (moment.at % moment.period) / moment.period)) / 2
