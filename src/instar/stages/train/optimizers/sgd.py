"""SGD: the gradient, with a momentum that looks ahead."""

from __future__ import annotations

from torch.optim import SGD, Optimizer

from instar.stages.train.optimizers.rule import Slots


def sgd(slots: Slots, lr: float, weight_decay: float) -> Optimizer:
    """Follow the gradient with Nesterov momentum 0.9.

    Source:
        Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """
    return SGD(slots, lr=lr, weight_decay=weight_decay, momentum=0.9, nesterov=True, fused=True)
