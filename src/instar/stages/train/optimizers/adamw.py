"""AdamW: a rate per weight, and decay apart from the gradient."""

from __future__ import annotations

from torch.optim import AdamW, Optimizer

from instar.stages.train.optimizers.rule import Slots


def adamw(slots: Slots, lr: float, weight_decay: float) -> Optimizer:
    """Adapt the rate per weight; one fused kernel a step, which small networks need most.

    Source:
        Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".
    """
    return AdamW(slots, lr=lr, weight_decay=weight_decay, fused=True)
