"""Exponential: the same factor in every epoch."""

from __future__ import annotations

from instar.stages.train.schedules.moment import Moment

_LAST = 0.01  # share of the peak at the end


def exponential(moment: Moment) -> float:
    """Fall by the same factor in every epoch, to a hundredth of the peak at the end.

    Source:
        Li and Arora 2020, "An Exponential Learning Rate Schedule for Deep Learning".
    Example:
        >>> [round(exponential(Moment(at, 20)), 3) for at in (0, 10, 20)]
        [1.0, 0.1, 0.01]
    """
    return float(_LAST**moment.done)
