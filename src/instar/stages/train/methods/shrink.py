"""Shrink and perturb: the champion's weights, made smaller, with a little of new ones."""

from __future__ import annotations

import torch
from torch import nn

from instar.core.policy import TrainPolicy
from instar.stages.train.methods.part import Ground, Part

KEEP, FRESH = 0.5, 0.1


def shrink(ground: Ground, policy: TrainPolicy) -> Part:
    """Begin at 0.5 of the champion's weights plus 0.1 of new ones.

    Source:
        Ash and Adams 2020, "On Warm-Starting Neural Network Training".
    """

    def begin(net: nn.Module) -> None:
        new = ground.anew()
        with torch.no_grad():
            for name, weight in net.named_parameters():
                if name in new:  # what another method has added begins as it was made
                    weight.mul_(KEEP).add_(new[name].to(weight.device), alpha=FRESH)

    return Part(begin=begin)
