"""Balanced replay: of the old rows, each class accompanies the fresh ones equally often."""

from __future__ import annotations

import torch

from instar.core.policy import TrainPolicy
from instar.models.tasks import lesson_of
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.methods.replay import replay


def replay_balanced(ground: Ground, policy: TrainPolicy) -> Part:
    """Mix old rows in as `replay` does, rare classes as often as common ones.

    Source:
        Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning".
    """
    if ground.replay is None or not ground.task.kind.judged:
        return replay(ground, policy)
    labels = lesson_of(ground.task).groups(ground.replay.labels)
    counts = labels.bincount()
    most = int(counts.max())
    places = [(labels == label).nonzero().flatten() for label in counts.nonzero().flatten()]
    dealt = [place.repeat(-(-most // len(place)))[:most] for place in places]
    return Part(rows=ground.replay.take(torch.cat(dealt)), ratio=policy.replay_ratio)
