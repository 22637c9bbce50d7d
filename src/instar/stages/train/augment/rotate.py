"""Rotate: images are turned about their middle."""

from __future__ import annotations

import math

import torch

from instar.core.data import TaskKind
from instar.core.policy import AugmentRule
from instar.stages.train.augment.kind import EVERY, Kind, Size, uniform


def turned(count: int, size: Size, rule: AugmentRule, random: torch.Generator) -> torch.Tensor:
    """Turn each image by its own angle, up to `rule.rotate` degrees either way."""
    angle = uniform((count,), random, math.radians(rule.rotate))
    height, width = size
    made = torch.eye(3).repeat(count, 1, 1)
    # Places are counted in halves of a side, and the sides may differ.
    made[:, 0, 0] = made[:, 1, 1] = angle.cos()
    made[:, 0, 1] = -angle.sin() * height / width
    made[:, 1, 0] = angle.sin() * width / height
    return made


# A box around what was turned is too large for it, and the labels know nothing better.
rotate = Kind("image", EVERY - {TaskKind.DETECTION}, move=turned)
"""
Source:
    Simard, Steinkraus and Platt 2003, "Best Practices for Convolutional Neural Networks Applied to
    Visual Document Analysis".
"""
