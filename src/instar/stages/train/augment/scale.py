"""Scale: images become larger or smaller about their middle."""

from __future__ import annotations

import torch

from instar.core.policy import AugmentRule
from instar.stages.train.augment.kind import EVERY, Kind, Size, straight, uniform


def sized(count: int, size: Size, rule: AugmentRule, random: torch.Generator) -> torch.Tensor:
    """Draw each image 1 - `rule.scale` to 1 + `rule.scale` times as large."""
    shrink = 1 / (1 + uniform((count,), random, rule.scale))
    return straight(shrink, shrink)


scale = Kind("image", EVERY, move=sized)
"""
Source:
    Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image
    Recognition", section 3.1.
"""
