"""What a loss is, and what can be wrong with the choice of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch

from instar.core.data import TaskKind
from instar.core.errors import InputError, PolicyError
from instar.models.project import FunctionMissing, FunctionRaised

Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def over_known(cells: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Average a loss over the cells, (n, k), whose label is known; NaN is one that is not.

    Example:
        >>> over_known(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, torch.nan]])).item()
        1.0
    """
    known = ~labels.isnan()
    return torch.where(known, cells, 0.0).sum() / known.sum().clamp(min=1)


class WrongLoss(PolicyError):
    """Refuse a loss of ours that cannot judge the task's answers."""

    code = "policy.wrong_loss"

    def __init__(self, name: str, kind: TaskKind, fitting: Sequence[str]) -> None:
        wanted = f"a loss for a {kind.value} task ({', '.join(fitting)})"
        super().__init__(wanted, name, "set train.loss")


class NotSmoothable(PolicyError):
    """Refuse to smooth the labels of a loss that has no form for it."""

    code = "policy.not_smoothable"

    def __init__(self, name: str, smoothing: float, known: Sequence[str]) -> None:
        super().__init__(
            f"train.label_smoothing with a loss out of {', '.join(known)}",
            f"{smoothing:g} with {name}",
            "set train.label_smoothing to 0, or another train.loss",
        )


class LossMissing(FunctionMissing):
    """Refuse a loss of the user's whose file or function does not exist."""

    code = "input.loss_missing"
    what = "a loss as `module:function` in the project, or the name of one of ours"
    setting = "policy.train.loss"


class LossRaised(FunctionRaised):
    """Report that the user's loss failed: while imported, or called."""

    code = "input.loss_raised"


class NotALoss(InputError):
    """Refuse a user's loss that answers with something that nothing can be learnt from."""

    code = "input.not_a_loss"

    def __init__(self, name: str, got: str) -> None:
        super().__init__(
            f"{name} to make a float tensor of shape () out of logits and labels",
            got,
            "return the mean over the rows",
        )
