"""Discriminative rates: the top layers learn at the full rate, those below more slowly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from instar.core.policy import TrainPolicy
from instar.stages.train.course import Pace
from instar.stages.train.methods.part import Ground, Part

TOP, BELOW = 3, 0.1


def discriminate(ground: Ground, policy: TrainPolicy) -> Part:
    """Slow down what lies below the top layers.

    Source:
        Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification".
    """
    count = TOP if policy.top is None else policy.top
    below = BELOW if policy.below is None else policy.below

    def paces(layers: Sequence[str]) -> Mapping[str, Pace]:
        return dict.fromkeys(layers[: max(0, len(layers) - count)], Pace(scale=below))

    return Part(paces=paces)
