"""Objects in an image: the network judges itself by its own losses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from instar.core.data import BOX, OBJECTS, InputSpec, Task, TaskKind
from instar.models import predict
from instar.models.detector import listening
from instar.models.tasks.lesson import Lesson, Tensor
from instar.tasks import form_of

_BATCH = 64  # images whose losses are asked for at once


class Detection(Lesson):
    """Labels are boxes with classes from 1 on, (n, 100, 5) float32; see `instar.models.detector`.

    A network that is told them answers with its losses, (k,); one that is not, with the objects it
    finds, (n, 100, 6). There are no logits that could be held near a teacher's.
    """

    def labels(self, truth: NDArray[Any]) -> Tensor:
        return torch.tensor(truth)

    def truth(self, labels: Tensor) -> NDArray[Any]:
        return labels.numpy()

    def asked(self, inputs: Sequence[Tensor], labels: Tensor) -> tuple[Tensor, ...]:
        return (*inputs, labels)

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compare at one half, whatever thresholds serve."""
        form, task = form_of(TaskKind.DETECTION), _any_task(labels, logits)
        return torch.from_numpy(form.right(logits.numpy(), labels.numpy(), task))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Add the network's losses up."""
        return logits.sum()

    @contextlib.contextmanager
    def quiet(self, net: nn.Module) -> Iterator[None]:
        with listening(net):
            yield

    def judged(
        self,
        net: nn.Module,
        inputs: Sequence[Tensor],
        labels: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor],
    ) -> tuple[predict.Floats, float]:
        answers, place = predict.logits(net, inputs), predict.place_of(net)
        total, size = 0.0, predict.at_once(inputs, _BATCH)
        with self.quiet(net), torch.no_grad():
            for start in range(0, len(labels), size):
                truth = labels[start : start + size].to(place)
                parts = [part[start : start + size].to(place) for part in inputs]
                total += loss(net(*self.asked(parts, truth)), truth).item() * len(truth)
        return answers, total / max(1, len(labels))

    def constants(self, labels: Tensor, task: Task) -> list[Tensor]:
        return []  # no answer is the same for all images

    def groups(self, labels: Tensor) -> Tensor:
        """Group images by the rarest class that they show, rare by the number of images."""
        kinds = labels[..., BOX].long()
        count = int(kinds.max()) + 1
        there = torch.stack([(kinds == place).any(dim=1) for place in range(1, count + 1)], dim=1)
        rows = torch.where(there.any(dim=0), there.sum(dim=0), len(labels) + 1)
        return torch.where(there, rows, len(labels) + 2).argmin(dim=1)

    def rarest(self, labels: Tensor) -> Tensor:
        """Group images by the rarest class that they show; those of nothing are a group, too."""
        kinds = labels[..., BOX].long()
        return torch.where((kinds > 0).any(dim=1), self.groups(labels), int(kinds.max()))

    def example(self, inputs: InputSpec) -> tuple[Tensor, Tensor]:
        return torch.zeros(2, OBJECTS, BOX + 2), torch.zeros(2, OBJECTS, BOX + 1)


def _any_task(labels: Tensor, logits: Tensor) -> Task:
    """Name as many classes as occur: what is right does not hang on their names."""
    count = int(max(labels[..., BOX].max(), logits[..., BOX].max()))
    return Task(TaskKind.DETECTION, classes=tuple(map(str, range(count))))
