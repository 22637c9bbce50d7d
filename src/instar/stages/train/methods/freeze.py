"""Freezing by depth: only the top layers learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from instar.core.policy import TrainPolicy
from instar.stages.train.course import Pace
from instar.stages.train.methods.part import Ground, Part

TOP = 3


def freeze(ground: Ground, policy: TrainPolicy) -> Part:
    """Leave all but the top layers as they are; they cost no backward pass either.

    Source:
        Yosinski et al. 2014, "How transferable are features in deep neural networks?".
    """
    count = TOP if policy.top is None else policy.top

    def paces(layers: Sequence[str]) -> Mapping[str, Pace]:
        return dict.fromkeys(layers[: max(0, len(layers) - count)], Pace(scale=0.0))

    return Part(paces=paces)
