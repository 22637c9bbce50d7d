"""Low-rank adaptation: frozen weights, each with a thin product of two matrices beside it."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils import parametrize

from instar.core.errors import InputError
from instar.core.finding import Finding, Verdict
from instar.core.policy import TrainPolicy
from instar.models.weights import State, copied
from instar.stages.train.methods.part import Ground, Part

RANK = 8


class NothingLinear(InputError):
    """Refuse to train beside Linear weights where the network has none."""

    code = "input.nothing_linear"

    def __init__(self) -> None:
        super().__init__(
            "a network with Linear layers for low_rank",
            "one without",
            "take low_rank out of train.methods, or choose another plan.strategy",
        )


class Beside(nn.Module):
    """Add `up @ down` to a weight (out, in); zero at the start."""

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__()
        out, width = weight.shape
        self.down = nn.Parameter(torch.empty(rank, width, device=weight.device))
        self.up = nn.Parameter(torch.zeros(out, rank, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.up @ self.down


def low_rank(ground: Ground, policy: TrainPolicy) -> Part:
    """Train a change of rank 8 of each Linear weight; all else stays. It is merged at the end.

    Raises:
        NothingLinear: the network has no such weight.
    Source:
        Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models".
    """
    rank = RANK if policy.rank is None else policy.rank
    if not any(isinstance(part, nn.Linear) for part in ground.net.modules()):
        raise NothingLinear

    def begin(net: nn.Module) -> None:
        for parameter in net.parameters():
            parameter.requires_grad = False
        for layer in [m for m in net.modules() if isinstance(m, nn.Linear)]:
            thin = min(rank, *layer.weight.shape)
            parametrize.register_parametrization(layer, "weight", Beside(layer.weight, thin))

    def finish(net: nn.Module, state: State) -> tuple[State, Finding]:
        net.load_state_dict(state)
        trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
        for layer in [m for m in net.modules() if isinstance(m, nn.Linear)]:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        merged = copied(net)
        whole = sum(p.numel() for p in net.parameters())
        return merged, Finding(
            "low_rank",
            Verdict.PASS,
            f"{trained:,} numbers were trained beside {whole:,} that stayed, and merged into them",
            measured=trained / whole,
            unit="share of the weights",
            enforced=False,
        )

    return Part(begin=begin, finish=finish)
