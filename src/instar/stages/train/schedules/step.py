"""Step: a tenth, and a tenth again."""

from __future__ import annotations

from instar.stages.train.schedules.moment import Moment

_FALLS = (0.5, 0.75)  # shares of the training
_FACTOR = 0.1


def step(moment: Moment) -> float:
    """Fall to a tenth at half of the training, and to a tenth of that at three quarters.

    Source:
        He et al. 2016, "Deep Residual Learning for Image Recognition", section 4.2.
    Example:
        >>> [round(step(Moment(at, 20)), 3) for at in (0, 9.9, 10, 15)]
        [1.0, 1.0, 0.1, 0.01]
    """
    return _FACTOR ** sum(moment.done >= fall for fall in _FALLS)
