"""Momentum: the heavy ball."""

from __future__ import annotations

from torch.optim import SGD, Optimizer

from instar.stages.train.optimizers.rule import Slots


def momentum(slots: Slots, lr: float, weight_decay: float) -> Optimizer:
    """Follow the gradient as a heavy ball does, with momentum 0.9.

    Source:
        Polyak 1964, "Some methods of speeding up the convergence of iteration methods".
    """
    return SGD(slots, lr=lr, weight_decay=weight_decay, momentum=0.9, fused=True)
