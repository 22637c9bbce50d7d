"""RMSProp: the gradient in units of its own recent size."""

from __future__ import annotations

from torch.optim import Optimizer, RMSprop

from instar.stages.train.optimizers.rule import Slots


def rmsprop(slots: Slots, lr: float, weight_decay: float) -> Optimizer:
    """Divide the gradient by the root of its running mean square.

    Source:
        Tieleman and Hinton 2012, "Lecture 6.5: rmsprop", COURSERA.
    """
    return RMSprop(slots, lr=lr, weight_decay=weight_decay, foreach=True)
