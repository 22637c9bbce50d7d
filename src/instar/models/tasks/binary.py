"""Yes or no."""

from __future__ import annotations

import torch
from torch.nn import functional

from instar.core.data import Task
from instar.models.tasks.lesson import Lesson, Tensor, softened


class Binary(Lesson):
    """Labels are 0 or 1, (n, 1)."""

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        return (logits > 0).flatten() == (labels > 0.5).flatten()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))

    def apart(self, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        # A logit z against 0 is a softmax over two classes.
        logits, teacher = (functional.pad(z[:, :1], (1, 0)) for z in (logits, teacher))
        return softened(logits, teacher, temperature)

    def constants(self, labels: Tensor, task: Task) -> list[Tensor]:
        share = labels.mean(dim=0).clamp(1e-6, 1 - 1e-6)
        return [share.logit(), torch.sign(share - 0.5)]
