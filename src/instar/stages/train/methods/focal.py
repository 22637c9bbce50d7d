"""Focal distillation: where the champion is right on fresh rows, its answer is held."""

from __future__ import annotations

import torch

from instar.core.data import TaskKind
from instar.core.policy import TrainPolicy
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
        return trusting(taught, weight * right(taught, ground.task.kind).float())

    return Part(teach=teach if ground.task.kind is not TaskKind.REGRESSION else None)


def right(rows: Rows, kind: TaskKind) -> torch.Tensor:
    """Tell which rows their teacher answers right, bool (n,)."""
    if rows.teacher is None:
        return torch.zeros(len(rows), dtype=torch.bool)
    if kind is TaskKind.BINARY:
        return (rows.teacher > 0).flatten() == (rows.labels > 0.5).flatten()
    return rows.teacher.argmax(dim=1) == rows.labels
