"""Crop: a part of an image, anywhere in it, is drawn as large as the whole."""

from __future__ import annotations

import torch

from instar.core.policy import AugmentRule
from instar.stages.train.augment.kind import EVERY, Kind, Size, straight, uniform


def cut(count: int, size: Size, rule: AugmentRule, random: torch.Generator) -> torch.Tensor:
    """Keep 1 - `rule.crop` to 1 of each side, at a place of its own."""
    kept = 1 - torch.rand(count, generator=random) * rule.crop
    made = straight(kept, kept)
    made[:, :2, 2] = uniform((count, 2), random) * (1 - kept)[:, None]
    return made


crop = Kind("image", EVERY, move=cut)
"""
Source:
    Szegedy et al. 2015, "Going Deeper with Convolutions", section 6.
"""
