"""Learning without forgetting: on fresh rows, the champion's answers stand in for old rows."""

from __future__ import annotations

import torch

from instar.core.policy import TrainPolicy
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows, trusting

WEIGHT = 0.5


def lwf(ground: Ground, policy: TrainPolicy) -> Part:
    """Add the divergence from the champion's answers on the fresh rows.

    Source:
        Li and Hoiem 2016, "Learning without Forgetting".
    """
    if not ground.task.kind.teachable:
        return Part()
    weight = WEIGHT if policy.lwf is None else policy.lwf

    def teach(rows: Rows) -> Rows:
        return trusting(ground.teach(rows), torch.full((len(rows),), weight))

    return Part(teach=teach)
