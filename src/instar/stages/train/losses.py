"""Losses: (logits, labels) -> mean over the rows, a scalar."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch.nn import functional

from instar.core.data import TaskKind
from instar.core.errors import PolicyError
from instar.core.family import Family

Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

LOSSES: Family[Loss] = Family(
    "loss",
    {
        "bce": functional.binary_cross_entropy_with_logits,
        "cross_entropy": functional.cross_entropy,
        "mse": functional.mse_loss,
        "mae": functional.l1_loss,
        "huber": functional.huber_loss,
    },
)

_FITTING = {
    TaskKind.BINARY: ("bce",),
    TaskKind.MULTICLASS: ("cross_entropy",),
    TaskKind.REGRESSION: ("mse", "mae", "huber"),
}


class WrongLoss(PolicyError):
    """Refuse a loss of ours that cannot judge the task's answers."""

    code = "policy.wrong_loss"

    def __init__(self, name: str, kind: TaskKind) -> None:
        wanted = ", ".join(_FITTING[kind])
        super().__init__(f"a loss for a {kind.value} task ({wanted})", name, "set train.loss")


def choose(name: str, kind: TaskKind) -> Loss:
    """Look a loss up; `auto` takes the task's own.

    Raises:
        UnknownName: there is no such loss.
        WrongLoss: it is made for another kind of task.
    Example:
        >>> choose("auto", TaskKind.REGRESSION)(torch.tensor([3.0]), torch.tensor([1.0])).item()
        4.0
    """
    if name == "auto":
        return LOSSES[_FITTING[kind][0]]
    loss = LOSSES[name]
    ours = {known for names in _FITTING.values() for known in names}
    if name in ours and name not in _FITTING[kind]:
        raise WrongLoss(name, kind)
    return loss
