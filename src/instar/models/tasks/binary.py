"""Yes or no."""

from __future__ import annotations

import torch
from torch.nn import functional

from instar.core.data import Task
from instar.models.tasks.lesson import Lesson, Tensor


class Binary(Lesson):
    """Labels are 0 or 1, (n, 1)."""

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        return (logits > 0).flatten() == (labels > 0.5).flatten()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))

    def apart(self, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        # What `softened` gives for z against 0, in half of its kernels: cross-entropy less entropy.
        given, wanted = logits.flatten() / temperature, teacher.flatten() / temperature
        share = wanted.sigmoid()
        cross, own = (
            functional.binary_cross_entropy_with_logits(z, share, reduction="none")
            for z in (given, wanted)
        )
        return (cross - own) * temperature**2

    def constants(self, labels: Tensor, task: Task) -> list[Tensor]:
        share = labels.mean(dim=0).clamp(1e-6, 1 - 1e-6)
        return [share.logit(), torch.sign(share - 0.5)]
