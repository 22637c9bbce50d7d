"""Losses: (logits, labels) -> mean over the rows, a scalar.

Logits are (n, k). Labels are int64 (n,) class places for a multiclass task, else float32 (n, 1):
0 or 1 for a binary task, the value for a regression. Several labels are (n, k) with NaN for one
that is not known, masks uint8 (n, h, w) with logits (n, k, h, w). A detector is told its labels,
(n, 100, 5), and answers with its own losses, (k,), in the place of logits. To add one, copy
`bce.py`, add a line here and say in `instar.tasks` which tasks it fits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from instar.core.data import TaskKind
from instar.core.family import Family
from instar.stages.train.losses.bce import bce
from instar.stages.train.losses.cross_entropy import cross_entropy
from instar.stages.train.losses.dice import dice
from instar.stages.train.losses.focal import focal
from instar.stages.train.losses.hinge import hinge
from instar.stages.train.losses.huber import huber
from instar.stages.train.losses.loss import (
    Loss,
    LossMissing,
    LossRaised,
    NotALoss,
    NotSmoothable,
    WrongLoss,
)
from instar.stages.train.losses.mae import mae
from instar.stages.train.losses.mse import mse
from instar.stages.train.losses.network import network
from instar.stages.train.losses.own import own
from instar.tasks import form_of

LOSSES: Family[Loss] = Family(
    "loss",
    {
        "bce": bce,
        "cross_entropy": cross_entropy,
        "mse": mse,
        "mae": mae,
        "huber": huber,
        "hinge": hinge,
        "focal": focal,
        "dice": dice,
        "network": network,
    },
)

FITTING = {kind: form_of(kind).losses for kind in TaskKind}
"""Which of ours can judge the answers to each kind of task; the first is the task's own."""
_SMOOTHED: dict[str, Callable[..., torch.Tensor]] = {"bce": bce, "cross_entropy": cross_entropy}


def choose(
    name: str,
    kind: TaskKind,
    *,
    outputs: int = 1,
    smoothing: float = 0.0,
    project: Path | None = None,
) -> Loss:
    """Look a loss up; `auto` takes the task's own, `module:function` one of the project's.

    Args:
        name: As in `train.loss`.
        outputs: Logits a row, for the trial of a user's own loss.
        smoothing: Share of each label that is spread over all classes, in [0, 1).
        project: The folder that holds the user's own.
    Raises:
        UnknownName: there is no such loss.
        WrongLoss: it is made for another kind of task.
        NotSmoothable: it has no smoothed form.
        LossMissing, LossRaised, NotALoss: the user's own is not there, fails, or is none.
    Example:
        >>> choose("auto", TaskKind.REGRESSION)(torch.tensor([3.0]), torch.tensor([1.0])).item()
        4.0
    """
    name = FITTING[kind][0] if name == "auto" else name
    if smoothing and name not in _SMOOTHED:
        raise NotSmoothable(name, smoothing, tuple(_SMOOTHED))
    if ":" in name:
        return own(name, kind, outputs, project)
    loss = LOSSES[name]
    ours = {known for names in FITTING.values() for known in names}
    if name in ours and name not in FITTING[kind]:
        raise WrongLoss(name, kind, FITTING[kind])
    return partial(_SMOOTHED[name], smoothing=smoothing) if smoothing else loss


__all__ = [
    "FITTING",
    "LOSSES",
    "Loss",
    "LossMissing",
    "LossRaised",
    "NotALoss",
    "NotSmoothable",
    "WrongLoss",
    "choose",
]
