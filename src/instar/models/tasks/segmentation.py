"""A class for each pixel of an image."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch.nn import functional

from instar.core.data import VOID, InputSpec, Task
from instar.models.tasks.lesson import Lesson, Tensor, softened


class Segmentation(Lesson):
    """Labels are masks of class places, uint8 (n, height, width); 255 is a pixel without one.

    Logits are (n, classes, height, width). A cell is a pixel.
    """

    def labels(self, truth: NDArray[Any]) -> Tensor:
        return torch.tensor(truth)

    def truth(self, labels: Tensor) -> NDArray[Any]:
        return labels.numpy()

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        return (logits.argmax(dim=1) == labels) & (labels != VOID)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        pixels = functional.cross_entropy(logits, labels.long(), ignore_index=VOID, reduction="sum")
        return pixels / (labels != VOID).sum().clamp(min=1)

    def apart(self, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        return softened(logits, teacher, temperature).mean(dim=(1, 2))

    def constants(self, labels: Tensor, task: Task) -> list[Tensor]:
        counts = torch.bincount(labels[labels != VOID].long(), minlength=task.outputs)
        most = functional.one_hot(counts.argmax(), task.outputs).float()
        return [counts.clamp(min=1e-3).log(), most]

    def spread(self, answer: Tensor, labels: Tensor) -> Tensor:
        return answer[None, :, None, None].expand(len(labels), -1, *labels.shape[1:])

    def groups(self, labels: Tensor) -> Tensor:
        """Group images by the rarest class that they show, rare by the number of images."""
        there = torch.stack(
            [(labels == place).flatten(1).any(dim=1) for place in range(VOID)], dim=1
        )  # (n, 255)
        rows = torch.where(there.any(dim=0), there.sum(dim=0), len(labels) + 1)
        return torch.where(there, rows, len(labels) + 2).argmin(dim=1)

    def example(self, inputs: InputSpec) -> tuple[Tensor, Tensor]:
        return torch.zeros(2, inputs.outputs, 2, 2), torch.zeros(2, 2, 2, dtype=torch.uint8)
