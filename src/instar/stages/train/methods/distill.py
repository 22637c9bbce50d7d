"""Distillation: on replayed rows the successor stays near the champion's answers."""

from __future__ import annotations

from collections.abc import Callable

import torch

from instar.core.data import TaskKind
from instar.core.policy import TrainPolicy
from instar.models.tasks import lesson_of
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows

WEIGHT = 0.6


def distill(ground: Ground, policy: TrainPolicy) -> Part:
    """Add the divergence from the champion's softened answers on replayed rows.

    Source:
        Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"; as a means against
        flips: Jiang et al. 2022, "Churn Reduction via Distillation".
    """
    if not ground.task.kind.teachable:
        return Part()
    return Part(recall=WEIGHT if policy.distill is None else policy.distill)


def term(kind: TaskKind, temperature: float) -> Callable[..., torch.Tensor]:
    """Make the second loss of all methods that have a teacher: trust times divergence, averaged.

    The mean is over the batch, as that of the first loss is.
    """

    def gap(logits: torch.Tensor, rows: Rows, places: torch.Tensor) -> torch.Tensor:
        if rows.teacher is None or rows.trust is None:
            return logits.new_zeros(())
        teacher, trust = (part.index_select(0, places) for part in (rows.teacher, rows.trust))
        apart = divergence(logits, teacher, kind, temperature)
        return torch.dot(apart, trust) / len(places)

    return gap


def divergence(
    logits: torch.Tensor, teacher: torch.Tensor, kind: TaskKind, temperature: float
) -> torch.Tensor:
    """Measure how far answers are from the teacher's, row by row: (b, k), (b, j) -> (b,).

    For classes, the Kullback-Leibler divergence of the softened answers times the squared
    temperature, which keeps gradients of one size; for a regression, the squared distance. A
    teacher of fewer classes is followed among those.
    """
    return lesson_of(kind).apart(logits, teacher, temperature)
