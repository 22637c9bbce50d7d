"""A number."""

from __future__ import annotations

import torch
from torch.nn import functional

from instar.core.data import Task
from instar.models.tasks.lesson import Lesson, Tensor


class Regression(Lesson):
    """Labels are values, (n, 1)."""

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        return torch.zeros(len(labels), dtype=torch.bool)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.mse_loss(logits, labels.to(logits.dtype))

    def apart(self, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        return (logits - teacher).square().mean(dim=1)

    def constants(self, labels: Tensor, task: Task) -> list[Tensor]:
        return [labels.mean(dim=0), labels.median(dim=0).values]

    def groups(self, labels: Tensor) -> Tensor:
        return torch.zeros(len(labels), dtype=torch.int64)
