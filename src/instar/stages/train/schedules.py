"""Courses of the learning rate: share of the training done, in [0, 1) -> share of the peak.

They are pure functions, so a resumed training has nothing to restore.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from instar.core.family import Family

Schedule: TypeAlias = Callable[[float], float]

_WARM = 0.3  # share of the training in which the rate rises
_FIRST = 0.04  # where it starts, as a share of the peak


def cosine(done: float) -> float:
    """Warm up along a half cosine, then anneal to zero along another.

    Source:
        Smith and Topin 2018, "Super-Convergence"; the shape is that of PyTorch's OneCycleLR.
    Example:
        >>> [round(cosine(done), 2) for done in (0, 0.3, 0.65, 1)]
        [0.04, 1.0, 0.5, 0.0]
    """
    if done < _WARM:
        return _FIRST + (1 - _FIRST) * (1 - math.cos(math.pi * done / _WARM)) / 2
    return (1 + math.cos(math.pi * (done - _WARM) / (1 - _WARM))) / 2


def linear(done: float) -> float:
    """Warm up in a straight line, then go down to zero in another."""
    if done < _WARM:
        return _FIRST + (1 - _FIRST) * done / _WARM
    return (1 - done) / (1 - _WARM)


def constant(done: float) -> float:
    """Keep the peak throughout."""
    return 1.0


SCHEDULES: Family[Schedule] = Family(
    "schedule", {"cosine": cosine, "linear": linear, "constant": constant}
)
