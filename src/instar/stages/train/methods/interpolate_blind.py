"""Blind interpolation: no old row is left to choose on, so a fixed share of the way is gone."""

from __future__ import annotations

from torch import nn

from instar.core.finding import Finding
from instar.core.policy import TrainPolicy
from instar.models.weights import State
from instar.stages.train.methods.interpolate import between, told
from instar.stages.train.methods.part import Ground, Part

SHARE = 0.7


def interpolate_blind(ground: Ground, policy: TrainPolicy) -> Part:
    """Go 0.7 of the way from the champion to the trained weights.

    Source:
        Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT).
    """
    if not policy.interpolate:
        return Part()
    share = SHARE if policy.share is None else policy.share

    def finish(net: nn.Module, successor: State) -> tuple[State, Finding]:
        why = "were gone: no old rows are left to choose on"
        return between(ground.champion, successor, share), told(share, why, 0, [], "")

    return Part(finish=finish)
