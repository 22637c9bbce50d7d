"""DER++: on replayed rows, the champion's logits are matched besides the labels."""

from __future__ import annotations

import torch

from instar.core.policy import TrainPolicy
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows

WEIGHT = 0.3


def logits(ground: Ground, policy: TrainPolicy) -> Part:
    """Add the squared distance to the champion's stored logits, on replayed rows alone.

    Source:
        Buzzega et al. 2020, "Dark Experience for General Continual Learning" (DER++).
    """
    weight = WEIGHT if policy.logits is None else policy.logits
    fresh = len(ground.learn)

    def term(out: torch.Tensor, rows: Rows, places: torch.Tensor) -> torch.Tensor:
        if rows.teacher is None:
            return out.new_zeros(())
        teacher = rows.teacher.index_select(0, places)
        apart = (out[:, : teacher.shape[1]] - teacher).square().flatten(1).mean(dim=1)
        old = places >= (fresh if rows.fresh is None else rows.fresh)
        return weight * torch.dot(apart, old.to(apart.dtype)) / len(places)

    there = ground.replay is not None and ground.task.kind.teachable
    return Part(term=term if there else None)
