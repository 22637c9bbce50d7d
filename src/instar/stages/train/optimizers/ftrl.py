"""FTRL-proximal: follow the leader of all losses so far, held by a proximal term."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from instar.stages.train.optimizers.rule import Slots

_BETA = 1.0  # of the per-weight rate lr / (beta + root of the squares)


def ftrl(slots: Slots, lr: float, weight_decay: float) -> Optimizer:
    """Follow the regularised leader, with weight decay as its penalty w^2 / 2.

    Source:
        McMahan et al. 2013, "Ad Click Prediction: a View from the Trenches", algorithm 1.
    """
    return Ftrl(slots, lr=lr, l2=weight_decay)


class Ftrl(Optimizer):
    """Minimise, at each step and weight by weight, all that is known in closed form.

    With gradients g_s and strengths sigma_s, whose sum is (beta + root of sum g^2) / lr, the
    weights minimise sum g_s w + sum sigma_s (w - w_s)^2 / 2 + l1 |w| + l2 w^2 / 2. The first
    term holds the weights where they started, so a champion's are not thrown away. The rate
    may change between steps; where it is 0, nothing moves.
    """

    def __init__(self, slots: Slots, lr: float, l1: float = 0.0, l2: float = 0.0) -> None:
        super().__init__(slots, {"lr": lr, "l1": l1, "l2": l2})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch overloads it
        """Move every weight whose gradient is known; a closure is asked for the loss before."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and group["lr"] > 0:
                    self._move(weight, weight.grad, group)
        return loss

    def _move(self, weight: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state, lr = self.state[weight], group["lr"]
        if not state:
            state["squares"] = torch.zeros_like(weight)
            state["strength"] = torch.full_like(weight, _BETA / lr)
            state["pull"] = -state["strength"] * weight
        squares, strength, pull = state["squares"], state["strength"], state["pull"]  # z is pull
        squares.addcmul_(gradient, gradient)
        now = squares.sqrt().add_(_BETA).div_(lr)
        pull.add_(gradient).addcmul_(now - strength, weight, value=-1.0)
        strength.copy_(now)
        kept = torch.sign(pull) * (pull.abs() - group["l1"]).clamp_(min=0.0)
        weight.copy_(kept.div_(now.add_(group["l2"])).neg_())
