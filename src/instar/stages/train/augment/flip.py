"""Flip: left and right change places, or above and below."""

from __future__ import annotations

import torch

from instar.core.policy import AugmentRule
from instar.stages.train.augment.kind import EVERY, Kind, Size, straight


def mirrored(count: int, size: Size, rule: AugmentRule, random: torch.Generator) -> torch.Tensor:
    """Mirror every second image along the axis of `rule.flip`, or along each of both."""
    signs = torch.randint(2, (2, count), generator=random) * 2.0 - 1
    if rule.flip == "horizontal":
        signs[1] = 1
    elif rule.flip == "vertical":
        signs[0] = 1
    return straight(signs[0], signs[1])


flip = Kind("image", EVERY, move=mirrored)
"""
Source:
    Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural
    Networks", section 4.1.
"""
