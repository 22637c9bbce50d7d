"""Batch-norm statistics: moved half-way to those of the fresh rows; no label is read."""

from __future__ import annotations

import torch
from torch import nn

from instar.core.finding import Finding, Verdict
from instar.core.policy import TrainPolicy
from instar.models.statistics import half_way
from instar.models.weights import State, copied
from instar.stages.train.methods.part import Ground, Part


def statistics(ground: Ground, policy: TrainPolicy) -> Part:
    """Compute mean and variance anew on the fresh rows, labelled or not, and go half-way there."""

    def finish(net: nn.Module, state: State) -> tuple[State, Finding]:
        net.load_state_dict(state)
        seen = ground.learn.inputs
        if ground.unlabelled is not None:
            seen = tuple(torch.cat(pair) for pair in zip(seen, ground.unlabelled, strict=True))
        layers = half_way(net, seen)
        return copied(net), Finding(
            "statistics",
            Verdict.PASS,
            f"the statistics of {layers} normalisation layers moved half-way to those of "
            f"{len(seen[0]):,} fresh rows, {len(ground.learn):,} of them with a label",
            measured=float(layers),
            unit="layers",
            n=len(seen[0]),
            enforced=False,
        )

    return Part(finish=finish)
