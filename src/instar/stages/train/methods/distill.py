"""Distillation: on replayed rows the successor stays near the champion's answers."""

from __future__ import annotations

import torch
from torch.nn import functional

from instar.core.data import TaskKind
from instar.core.policy import TrainPolicy
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows


def distill(ground: Ground, policy: TrainPolicy) -> Part:
    """Add the divergence from the champion's softened answers, where rows have a teacher.

    Source:
        Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"; as a means against
        flips: Jiang et al. 2022, "Churn Reduction via Distillation".
    """
    if ground.replay is None or policy.distill == 0:
        return Part()

    def term(logits: torch.Tensor, rows: Rows, places: torch.Tensor) -> torch.Tensor:
        if rows.teacher is None or rows.trust is None:
            return logits.new_zeros(())
        trust = rows.trust[places]  # (b,)
        gap = divergence(logits, rows.teacher[places], ground.task.kind, policy.temperature)
        return policy.distill * torch.dot(gap, trust) / trust.sum().clamp(min=1)

    return Part(term=term)


def divergence(
    logits: torch.Tensor, teacher: torch.Tensor, kind: TaskKind, temperature: float
) -> torch.Tensor:
    """Measure how far answers are from the teacher's, row by row: (b, k), (b, k) -> (b,).

    For classes, the Kullback-Leibler divergence of the softened answers times the squared
    temperature, which keeps gradients of one size; for a regression, the squared distance.
    """
    if kind is TaskKind.REGRESSION:
        return (logits - teacher).square().mean(dim=1)
    if kind is TaskKind.BINARY:  # a logit z against 0 is a softmax over two classes
        logits, teacher = (functional.pad(z, (1, 0)) for z in (logits, teacher))
    wanted = functional.log_softmax(teacher / temperature, dim=1)
    given = functional.log_softmax(logits / temperature, dim=1)
    gap = functional.kl_div(given, wanted, reduction="none", log_target=True)
    return gap.sum(dim=1) * temperature**2
