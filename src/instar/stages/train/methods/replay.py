"""Replay: a uniform sample of the old rows accompanies the fresh ones in every batch."""

from __future__ import annotations

from instar.core.policy import TrainPolicy
from instar.stages.train.methods.part import Ground, Part


def replay(ground: Ground, policy: TrainPolicy) -> Part:
    """Mix old rows in, `policy.replay_ratio` for each fresh one.

    Source:
        Prabhu et al. 2023, "Computationally Budgeted Continual Learning: What Does Matter?":
        uniform sampling from memory beats everything fancier at equal passes.
    """
    return Part(rows=ground.replay, ratio=policy.replay_ratio if ground.replay else 0.0)
