"""Update rules: (parameter groups, learning rate, weight decay) -> optimiser.

A rule works weight by weight: it is handed all weights of a group as one long tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch.optim import SGD, AdamW, Optimizer

from instar.core.family import Family

Slots: TypeAlias = list[dict[str, Any]]
Rule: TypeAlias = Callable[[Slots, float, float], Optimizer]


def adamw(slots: Slots, lr: float, weight_decay: float) -> Optimizer:
    """Adapt the rate per weight; one fused kernel a step, which small networks need most.

    Source:
        Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".
    """
    return AdamW(slots, lr=lr, weight_decay=weight_decay, fused=True)


def sgd(slots: Slots, lr: float, weight_decay: float) -> Optimizer:
    """Follow the gradient with Nesterov momentum 0.9."""
    return SGD(slots, lr=lr, weight_decay=weight_decay, momentum=0.9, nesterov=True, fused=True)


OPTIMIZERS: Family[Rule] = Family("optimizer", {"adamw": adamw, "sgd": sgd})
