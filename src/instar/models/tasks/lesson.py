"""What is to be known of a kind of task by those who train: labels, right answers, distances."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from instar.core.data import InputSpec, Task
from instar.models import predict

Tensor = torch.Tensor


class Lesson:
    """Say how labels become tensors, and how answers are held against them.

    Logits are (n, outputs, ...). The defaults are those of one column of labels, (n, 1) float32.
    A *cell* is what is right or wrong: a row.
    """

    def labels(self, truth: NDArray[Any]) -> Tensor:
        """Make tensors of labels, as `instar.data.preprocessing.labels` gives them."""
        return torch.tensor(truth).float()[:, None]

    def truth(self, labels: Tensor) -> NDArray[Any]:
        """Undo `labels`, for a metric."""
        return labels.flatten().numpy()

    def asked(self, inputs: Sequence[Tensor], labels: Tensor) -> tuple[Tensor, ...]:
        """List what a network is called with in a step; a detector is told the labels, too."""
        return tuple(inputs)

    def cost(self, net: nn.Module, inputs: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Judge a network's answers by `loss`, a scalar with a gradient."""
        return self.loss(net(*self.asked(inputs, labels)), labels)

    @contextlib.contextmanager
    def quiet(self, net: nn.Module) -> Iterator[None]:
        """Have a network answer `asked` while nothing of it moves."""
        training = net.training
        net.eval()
        try:
            yield
        finally:
            net.train(training)

    def judged(
        self,
        net: nn.Module,
        inputs: Sequence[Tensor],
        labels: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor],
    ) -> tuple[predict.Floats, float]:
        """Ask a network in evaluation mode: its answers, and their loss as a number."""
        answers = predict.logits(net, inputs)
        return answers, loss(torch.from_numpy(answers), labels.cpu()).item()

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Tell which cells are answered right, bool (n, ...); none is, for a regression."""
        raise NotImplementedError

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Judge answers by their likelihood, a scalar: the mean over the cells."""
        raise NotImplementedError

    def apart(self, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """Measure how far answers are from a teacher's, row by row, (n,); see `distill`."""
        raise NotImplementedError

    def constants(self, labels: Tensor, task: Task) -> list[Tensor]:
        """Guess which answer, the same for all rows, is best: some candidates, (outputs,) each.

        None where no answer can be the same for all rows.
        """
        raise NotImplementedError

    def spread(self, answer: Tensor, labels: Tensor) -> Tensor:
        """Give all rows one answer, (outputs,)."""
        return answer.expand(len(labels), -1)

    def groups(self, labels: Tensor) -> Tensor:
        """Number the groups that rows belong to, int64 (n,), rare ones to be balanced with others.

        A regression has none: all rows are in one.
        """
        return labels.flatten().long()

    def rarest(self, labels: Tensor) -> Tensor:
        """Number the groups of which rare ones are to be seen more often: by default `groups`."""
        return self.groups(labels)

    def example(self, inputs: InputSpec) -> tuple[Tensor, Tensor]:
        """Make two rows of zeros: logits, and labels for them."""
        return torch.zeros(2, inputs.outputs), torch.zeros(2, 1)


def softened(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Measure the divergence of softened answers over the second axis, (n, c, ...) -> (n, ...).

    Times the squared temperature, which keeps gradients of one size.

    Source:
        Hinton et al. 2015, "Distilling the Knowledge in a Neural Network".
    """
    wanted = functional.log_softmax(teacher / temperature, dim=1)
    given = functional.log_softmax(logits / temperature, dim=1)
    gap = functional.kl_div(given, wanted, reduction="none", log_target=True)
    return gap.sum(dim=1) * temperature**2
