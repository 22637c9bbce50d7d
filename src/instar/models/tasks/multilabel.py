"""Several labels that each hold or do not hold."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch.nn import functional

from instar.core.data import InputSpec, Task
from instar.models.tasks.lesson import Lesson, Tensor, softened


class Multilabel(Lesson):
    """Labels are 1, 0 or NaN for not known, (n, outputs) float32. A cell is a label of a row."""

    def labels(self, truth: NDArray[Any]) -> Tensor:
        return torch.tensor(truth).float()

    def truth(self, labels: Tensor) -> NDArray[Any]:
        return labels.numpy()

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compare at one half, whatever thresholds serve: what is learnt is the probability."""
        return ~labels.isnan() & ((logits > 0) == (labels > 0.5))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        known = ~labels.isnan()
        truth = labels.nan_to_num().to(logits.dtype)
        cells = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        return torch.where(known, cells, 0.0).sum() / known.sum().clamp(min=1)

    def apart(self, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        # A logit z against 0 is a softmax over two classes.
        logits, teacher = (torch.stack([z * 0, z], dim=1) for z in (logits, teacher))
        return softened(logits, teacher, temperature).mean(dim=1)

    def constants(self, labels: Tensor, task: Task) -> list[Tensor]:
        share = labels.nanmean(dim=0).nan_to_num(0.5).clamp(1e-6, 1 - 1e-6)
        return [share.logit(), torch.sign(share - 0.5)]

    def groups(self, labels: Tensor) -> Tensor:
        """Group rows by the combination of their labels."""
        group: Tensor
        _, group = torch.unique(labels.nan_to_num(-1.0), dim=0, return_inverse=True)
        return group

    def rarest(self, labels: Tensor) -> Tensor:
        """Group rows by the rarest label that they have; those without one are a group, too."""
        there = labels > 0.5
        rows = torch.where(there.any(dim=0), there.sum(dim=0), len(labels) + 1)
        none = torch.where(there.any(dim=1), len(labels) + 2, 0)[:, None]
        ranked = torch.where(there, rows, len(labels) + 2)
        return torch.cat([ranked, none], dim=1).argmin(dim=1)

    def example(self, inputs: InputSpec) -> tuple[Tensor, Tensor]:
        return torch.zeros(2, inputs.outputs), torch.zeros(2, inputs.outputs)
