"""What a trial is worth: its loss on validation rows, fresh and old."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from instar.models.predict import logits
from instar.stages.train.attempt import Attempt
from instar.stages.train.losses import Loss
from instar.stages.train.methods.interpolate import sides_of
from instar.stages.train.rows import Rows

_LEAST = 1e-12  # a champion without any loss still is a unit


@dataclass(frozen=True, slots=True)
class Judge:
    """Judge networks by the loss of the policy, whatever loss a trial learns by.

    `units` are the champion's losses on the `sides`, so that fresh and old rows weigh the same.
    """

    sides: Sequence[Rows]
    units: Sequence[float]
    loss: Loss

    @property
    def rows(self) -> int:
        return sum(len(side) for side in self.sides)

    def value(self, net: nn.Module) -> float:
        """Sum the losses over the sides, each in the champion's, as `interpolate` does."""
        return self.of([torch.from_numpy(logits(net, side.inputs)) for side in self.sides])

    def of(self, answers: Sequence[torch.Tensor]) -> float:
        """Sum the losses of logits (n, k), those of each side."""
        return sum(
            self.loss(answer, side.labels).item() / unit
            for answer, side, unit in zip(answers, self.sides, self.units, strict=True)
        )


def judge(own: Attempt) -> Judge:
    """Make the judge of all trials from the training with the strategy's own settings.

    Where the champion cannot answer, as it is of another shape, there is no unit, and one side.
    """
    ground = own.start.ground
    taught = [side if side.teacher is not None else ground.teach(side) for side in sides_of(ground)]
    units = [_unit(side, own.loss, ground.task.outputs) for side in taught]
    return Judge(sides_of(ground), units, own.loss)


def _unit(side: Rows, loss: Loss, outputs: int) -> float:
    if side.teacher is None or side.teacher.shape[1] != outputs:
        return 1.0
    unit = loss(side.teacher, side.labels).item()
    return max(unit, _LEAST) if math.isfinite(unit) else 1.0
