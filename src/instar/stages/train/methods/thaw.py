"""Gradual unfreezing: the head learns first, and one layer after the other joins it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from instar.core.policy import TrainPolicy
from instar.stages.train.course import Pace
from instar.stages.train.methods.part import Ground, Part

_SPAN = 0.5  # of the training, at the end of which all layers learn


def thaw(ground: Ground, policy: TrainPolicy) -> Part:
    """Let layers begin to learn from the top down, in equal stretches of half the training.

    Source:
        Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification".
    """

    def paces(layers: Sequence[str]) -> Mapping[str, Pace]:
        depth = {name: place for place, name in enumerate(reversed(layers))}
        last = max(1, len(layers) - 1)
        return {name: Pace(since=_SPAN * place / last) for name, place in depth.items()}

    return Part(paces=paces)
