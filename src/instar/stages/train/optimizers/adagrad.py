"""Adagrad: weights that moved much move less."""

from __future__ import annotations

from torch.optim import Adagrad, Optimizer

from instar.stages.train.optimizers.rule import Slots


def adagrad(slots: Slots, lr: float, weight_decay: float) -> Optimizer:
    """Divide the gradient by the root of the sum of all its squares so far.

    Source:
        Duchi, Hazan and Singer 2011, "Adaptive Subgradient Methods for Online Learning and
        Stochastic Optimization".
    """
    return Adagrad(slots, lr=lr, weight_decay=weight_decay, fused=True)
