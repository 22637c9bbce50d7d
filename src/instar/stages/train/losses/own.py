"""The user's own loss: a function in the project, tried on two rows before it counts."""

from __future__ import annotations

from pathlib import Path

import torch

from instar.core.data import InputSpec, TaskKind
from instar.models.project import function
from instar.models.tasks import lesson_of
from instar.stages.train.losses.loss import Loss, LossMissing, LossRaised, NotALoss


def own(name: str, kind: TaskKind, outputs: int, project: Path | None) -> Loss:
    """Import a loss from the project; where it fails later on, it is named.

    Args:
        name: `module:function`.
        outputs: Logits a row.
    """
    shown = f"`{name}`"
    if project is None:
        raise LossMissing(f"{shown}, but no project")
    made, file = function(name, project, missing=LossMissing, raised=LossRaised)

    def loss(out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        try:
            value: torch.Tensor = made(out, labels)
        except Exception as error:
            raise LossRaised(shown, "judge logits", error, file) from error
        return value

    _try(loss, shown, kind, outputs)
    return loss


def _try(loss: Loss, shown: str, kind: TaskKind, outputs: int) -> None:
    logits, labels = lesson_of(kind).example(InputSpec(outputs=outputs))
    value = loss(logits.requires_grad_(), labels)
    if not isinstance(value, torch.Tensor):
        raise NotALoss(shown, type(value).__name__)
    if value.shape != () or not value.is_floating_point():
        raise NotALoss(shown, f"{tuple(value.shape)} of {value.dtype}")
    if not value.requires_grad:
        raise NotALoss(shown, "a tensor that knows nothing of the logits")
