"""Weight averaging: what is judged and kept is a running average of the weights."""

from __future__ import annotations

from instar.core.policy import TrainPolicy
from instar.stages.train.methods.part import Ground, Part

DECAY = 0.99


def average(ground: Ground, policy: TrainPolicy) -> Part:
    """Average the weights over steps, the newest counting most.

    Source:
        Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging".
    """
    return Part(average=DECAY if policy.average is None else policy.average)
