"""Pretrained weights: the training begins with those of a file, as far as they fit."""

from __future__ import annotations

from torch import nn

from instar.core.finding import Finding, Verdict
from instar.core.policy import TrainPolicy
from instar.models.pretrained import match
from instar.models.weights import State
from instar.stages.train.methods.part import Ground, Part


def pretrained(ground: Ground, policy: TrainPolicy) -> Part:
    """Begin with the tensors of the file in `train.pretrained`; the head is new.

    Raises:
        NothingMatches: none of them has a name and a shape of the network's.
        NotFinite: one holds NaN or infinite values.
    Source:
        Yosinski et al. 2014, "How transferable are features in deep neural networks?".
    """
    if ground.pretrained is None:
        return Part()
    found = match(ground.net, ground.pretrained())

    def begin(net: nn.Module) -> None:
        net.load_state_dict({**net.state_dict(), **found.taken})

    def finish(net: nn.Module, state: State) -> tuple[State, Finding]:
        own = len(found.taken) + len(found.left)
        return state, Finding(
            "pretrained",
            Verdict.PASS,
            f"{len(found.taken)} of the network's {own} tensors began with pretrained ones "
            f"(of {found.given} in the file), {found.share:.0%} of its weights; new were "
            f"{', '.join(found.left) or 'none'}",
            measured=found.share,
            unit="share of the weights",
            enforced=False,
        )

    return Part(begin=begin, finish=finish)
