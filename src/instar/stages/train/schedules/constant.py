"""Constant: the peak throughout."""

from __future__ import annotations

from instar.stages.train.schedules.moment import Moment


def constant(moment: Moment) -> float:
    """Keep the peak throughout; early stopping and the best epoch have to do the rest.

    Example:
        >>> constant(Moment(7, 20))
        1.0
    """
    return 1.0
