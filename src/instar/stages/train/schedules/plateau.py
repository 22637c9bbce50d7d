"""Plateau: smaller steps once the validation loss has stopped falling."""

from __future__ import annotations

import math

from instar.stages.train.schedules.moment import Moment

_FACTOR = 0.1
_PATIENCE = 2  # epochs; fewer than early stopping waits, or it would come too late
_BETTER = 1e-4  # share by which a loss has to be lower to count


def plateau(moment: Moment) -> float:
    """Fall to a tenth when the validation loss has not improved for three epochs; count anew.

    Source:
        PyTorch's ReduceLROnPlateau, with a patience of 2 instead of 10.
    Example:
        >>> plateau(Moment(2, 20, losses=[0.9, 0.8, 0.7]))
        1.0
        >>> plateau(Moment(5, 20, losses=[0.9, 0.8, 0.7, 0.7, 0.8, 0.7]))
        0.1
    """
    least, waited, share = math.inf, 0, 1.0
    for loss in moment.losses:
        better = loss < least * (1 - _BETTER)
        least, waited = (loss, 0) if better else (least, waited + 1)
        if waited > _PATIENCE:
            share, waited = share * _FACTOR, 0
    return share
