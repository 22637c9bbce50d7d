"""Warm-up: the rate rises in a straight line, then stays at the peak."""

from __future__ import annotations

from instar.stages.train.schedules.moment import Moment

WARM = 0.3  # share of the training in which the rate rises
FIRST = 0.04  # where it starts, as a share of the peak


def warmup(moment: Moment) -> float:
    """Rise to the peak over the first 0.3 of the training, and stay there.

    Source:
        Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2 (gradual warm-up).
    Example:
        >>> [round(warmup(Moment(at, 10)), 2) for at in (0, 1.5, 3, 9)]
        [0.04, 0.52, 1.0, 1.0]
    """
    return min(1.0, FIRST + (1 - FIRST) * moment.done / WARM)
