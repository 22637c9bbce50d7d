"""Focal distillation: where the champion is right on fresh rows, its answer is held."""

from __future__ import annotations

import torch

from instar.core.data import TaskKind
from instar.core.policy import TrainPolicy
from instar.models.tasks import lesson_of
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows, trusting

WEIGHT = 1.0


def focal(ground: Ground, policy: TrainPolicy) -> Part:
    """Add the divergence from the champion's answers on those fresh rows that it gets right.

    A regression has no right answers, and gets nothing.

    Source:
        Yan et al. 2021, "Positive-Congruent Training".
    """
    weight = WEIGHT if policy.focal is None else policy.focal

    def teach(rows: Rows) -> Rows:
        taught = ground.teach(rows)
        cells = right(taught, ground.task.kind).float()  # (n, ...)
        return trusting(taught, weight * cells.reshape(len(cells), -1).mean(dim=1))

    kind = ground.task.kind
    return Part(teach=teach if kind.judged and kind.teachable else None)


def right(rows: Rows, kind: TaskKind) -> torch.Tensor:
    """Tell what their teacher answers right, bool (n, ...): rows, or what a row is made of."""
    if rows.teacher is None:
        return torch.zeros(len(rows), dtype=torch.bool)
    return lesson_of(kind).right(rows.teacher, rows.labels)
