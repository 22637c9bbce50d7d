"""One class out of several."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch.nn import functional

from instar.core.data import InputSpec, Task
from instar.models.tasks.lesson import Lesson, Tensor, softened


class Multiclass(Lesson):
    """Labels are places of classes, int64 (n,)."""

    def labels(self, truth: NDArray[Any]) -> Tensor:
        return torch.tensor(truth)

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        return logits.argmax(dim=1) == labels

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels)

    def apart(self, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        # A teacher of fewer classes is followed among those.
        return softened(logits[:, : teacher.shape[1]], teacher, temperature)

    def constants(self, labels: Tensor, task: Task) -> list[Tensor]:
        counts = torch.bincount(labels, minlength=task.outputs)
        most = functional.one_hot(counts.argmax(), task.outputs).float()
        return [counts.clamp(min=1e-3).log(), most]

    def example(self, inputs: InputSpec) -> tuple[Tensor, Tensor]:
        return torch.zeros(2, inputs.outputs), torch.zeros(2, dtype=torch.int64)
