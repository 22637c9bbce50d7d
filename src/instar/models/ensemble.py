"""Several networks of one shape that answer as one, and what makes one answer of theirs.

An ensemble is a network like any other: it is trained on, exported, validated and reproduced as
one. What combines the answers lies in its weights, where it has any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, cast

import torch
from torch import nn
from torch.nn import functional

from instar.core import records
from instar.core.data import TaskKind
from instar.core.family import Family
from instar.models.weights import State

_ONE_CLASS = (TaskKind.MULTICLASS, TaskKind.SEGMENTATION)  # of a row, or of a pixel
_HALF = 0.5  # a vote that each class has before anybody votes


class Ensemble(nn.Module):
    """Ask every member, and make one answer of theirs.

    Args:
        members: Networks that take the same call and answer with logits (n, outputs).
        spec: How their answers become one, and what they stand for.
        outputs: Logits of a row.
    Example:
        >>> spec = records.Ensemble("mean", 2, TaskKind.REGRESSION)
        >>> net = Ensemble([nn.Identity(), nn.ReLU()], spec, outputs=1)
        >>> net(torch.tensor([[-4.0], [2.0]])).tolist()
        [[-2.0], [2.0]]
    """

    def __init__(self, members: Iterable[nn.Module], spec: records.Ensemble, outputs: int) -> None:
        super().__init__()
        self.spec = spec
        self.members = nn.ModuleList(members)
        self.combined = COMBINATIONS[spec.combine](spec, outputs)

    @property
    def stacks(self) -> tuple[str, ...]:
        """Name the members by how the names of their layers begin."""
        return tuple(f"members.{place}." for place in range(len(self.members)))

    @property
    def head_layer(self) -> str:
        """Name the layer that makes the logits; only a linear combination has one."""
        return "combined.layer" if isinstance(self.combined, Linear) else ""

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        answers = torch.stack([member(*parts) for member in self.members])  # (members, n, k)
        return cast(torch.Tensor, self.combined(answers))  # (n, k)


class Mean(nn.Module):
    """Average probabilities, or values: the soft vote.

    Source:
        Breiman 1996, "Bagging Predictors", section 2, for values; Lakshminarayanan et al. 2017,
        "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", for
        probabilities.
    Example:
        >>> mean = Mean(records.Ensemble("mean", 2, TaskKind.BINARY), 1)
        >>> answers = torch.tensor([[[0.9]], [[0.5]]]).logit()
        >>> round(mean(answers).sigmoid().item(), 6)
        0.7
    """

    def __init__(self, spec: records.Ensemble, outputs: int) -> None:
        super().__init__()
        self.task = spec.task

    def forward(self, answers: torch.Tensor) -> torch.Tensor:
        if self.task is TaskKind.REGRESSION:
            return answers.mean(dim=0)
        if self.task in _ONE_CLASS:  # the mean, as a logarithm, up to a constant
            return functional.log_softmax(answers, dim=2).logsumexp(dim=0)
        yes, no = functional.logsigmoid(answers), functional.logsigmoid(-answers)
        return yes.logsumexp(dim=0) - no.logsumexp(dim=0)


class Vote(nn.Module):
    """Count the class that each member holds for the right one: the hard vote.

    A class's probability is its share of the votes, with half a vote for each class beforehand,
    since nothing is impossible; of equal classes the first wins. While it is trained the answer
    is the soft vote's, and the gradient always is: a vote has none.

    Source:
        Krichevsky and Trofimov 1981, "The Performance of Universal Encoding", for the half vote;
        Bengio et al. 2013, "Estimating or Propagating Gradients", for the gradient past a step.
    Example:
        >>> vote = Vote(records.Ensemble("vote", 3, TaskKind.BINARY), 1).eval()
        >>> answers = torch.tensor([[[9.0]], [[0.1]], [[-9.0]]])
        >>> round(vote(answers).sigmoid().item(), 6)  # (2 + 0.5) / (3 + 1)
        0.625
    """

    def __init__(self, spec: records.Ensemble, outputs: int) -> None:
        super().__init__()
        self.task, self.soft = spec.task, Mean(spec, outputs)

    def forward(self, answers: torch.Tensor) -> torch.Tensor:
        if self.training:
            return cast(torch.Tensor, self.soft(answers))
        votes = self._counted(answers.detach())
        if answers.requires_grad and not torch.compiler.is_compiling():
            soft = cast(torch.Tensor, self.soft(answers))
            return votes + (soft - soft.detach())  # the value is the votes' to the last bit
        return votes

    def _counted(self, answers: torch.Tensor) -> torch.Tensor:
        if self.task in _ONE_CLASS:
            first = answers.argmax(dim=2, keepdim=True)
            votes = torch.zeros_like(answers).scatter(2, first, 1.0).sum(dim=0)
            return (votes + _HALF).log()
        yes = (answers > 0).to(answers.dtype).sum(dim=0)
        return (yes + _HALF).log() - (len(answers) - yes + _HALF).log()


class Sum(nn.Module):
    """Add logits, or values, up, each member's at a weight of its own: what boosting makes.

    Source:
        Friedman 2001, "Greedy Function Approximation: A Gradient Boosting Machine", section 5.
    """

    weights: torch.Tensor

    def __init__(self, spec: records.Ensemble, outputs: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.ones(spec.members))

    def forward(self, answers: torch.Tensor) -> torch.Tensor:
        weights = self.weights.reshape(-1, *[1] * (answers.dim() - 1))
        return (weights * answers).sum(dim=0)


class Linear(nn.Module):
    """Put a dense layer over the logits of all members: what stacking fits. It begins as the mean.

    Source:
        Wolpert 1992, "Stacked Generalization"; Ting and Witten 1999, "Issues in Stacked
        Generalization", for a linear one over what classifiers answer.
    Example:
        >>> linear = Linear(records.Ensemble("linear", 2, TaskKind.REGRESSION), 1)
        >>> linear(torch.tensor([[[1.0]], [[3.0]]])).item()
        2.0
    """

    def __init__(self, spec: records.Ensemble, outputs: int) -> None:
        super().__init__()
        self.layer = mean_layer(spec.members, outputs)

    def forward(self, answers: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.layer(beside(answers)))  # (n, k)


def mean_layer(members: int, outputs: int) -> nn.Linear:
    """Make a dense layer that takes the logits of all members, and answers with their mean."""
    layer = nn.Linear(members * outputs, outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(outputs).repeat(1, members) / members)
        layer.bias.zero_()
    return layer


def beside(answers: torch.Tensor) -> torch.Tensor:
    """Put the logits of all members, (members, n, k), side by side: (n, members * k)."""
    return answers.transpose(0, 1).flatten(1)


Make: TypeAlias = Callable[[records.Ensemble, int], nn.Module]
COMBINATIONS: Family[Make] = Family(
    "combination", {"mean": Mean, "vote": Vote, "sum": Sum, "linear": Linear}
)
"""Name -> make what turns answers (members, n, k) into one, (n, k)."""


def joined(states: Sequence[State], combined: State) -> dict[str, torch.Tensor]:
    """Write the weights of members, and of what combines them, as those of their ensemble.

    Example:
        >>> list(joined([{"w": torch.zeros(1)}] * 2, {"weights": torch.ones(2)}))
        ['members.0.w', 'members.1.w', 'combined.weights']
    """
    named = {
        f"members.{place}.{name}": tensor
        for place, state in enumerate(states)
        for name, tensor in state.items()
    }
    return named | {f"combined.{name}": tensor for name, tensor in combined.items()}
