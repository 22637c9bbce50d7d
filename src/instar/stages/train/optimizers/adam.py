"""Adam: a rate per weight."""

from __future__ import annotations

from torch.optim import Adam, Optimizer

from instar.stages.train.optimizers.rule import Slots


def adam(slots: Slots, lr: float, weight_decay: float) -> Optimizer:
    """Adapt the rate per weight to the mean and the spread of its gradients.

    The decay joins the gradient and is adapted with it; `adamw` keeps it apart.

    Source:
        Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization".
    """
    return Adam(slots, lr=lr, weight_decay=weight_decay, fused=True)
