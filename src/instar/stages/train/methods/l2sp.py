"""L2-SP: weights are pulled back to the champion's."""

from __future__ import annotations

from instar.core.policy import TrainPolicy
from instar.stages.train.course import Anchor
from instar.stages.train.methods.part import Ground, Part

WEIGHT = 0.01


def l2sp(ground: Ground, policy: TrainPolicy) -> Part:
    """Penalise half the squared distance to the champion's weights.

    Source:
        Li et al. 2018, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks".
    """
    weight = WEIGHT if policy.l2sp is None else policy.l2sp
    return Part(anchors=(Anchor(weight, ground.champion),))
