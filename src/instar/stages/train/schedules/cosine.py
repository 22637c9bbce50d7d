"""Cosine: one warm-up, one way down."""

from __future__ import annotations

import math

from instar.stages.train.schedules.moment import Moment
from instar.stages.train.schedules.warmup import FIRST, WARM


def cosine(moment: Moment) -> float:
    """Warm up along a half cosine, then anneal to zero along another.

    Source:
        Smith and Topin 2018, "Super-Convergence"; the shape is that of PyTorch's OneCycleLR.
    Example:
        >>> [round(cosine(Moment(at, 20)), 2) for at in (0, 6, 13, 20)]
        [0.04, 1.0, 0.5, 0.0]
    """
    done = moment.done
    if done < WARM:
        return FIRST + (1 - FIRST) * (1 - math.cos(math.pi * done / WARM)) / 2
    return (1 + math.cos(math.pi * (done - WARM) / (1 - WARM))) / 2
