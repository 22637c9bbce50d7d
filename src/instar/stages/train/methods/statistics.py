"""Batch-norm statistics: moved half-way to those of the fresh rows; no label is read."""

from __future__ import annotations

import torch
from torch import nn

from instar.core.finding import Finding, Verdict
from instar.core.policy import TrainPolicy
from instar.models.predict import place_of
from instar.stages.train.loop import State, copied
from instar.stages.train.methods.interpolate import between
from instar.stages.train.methods.part import Ground, Part

HALF = 0.5
_BATCH = 512


def statistics(ground: Ground, policy: TrainPolicy) -> Part:
    """Compute mean and variance anew on the fresh rows, and go half-way there.

    Half-way, since all the way broke old rows by eight points where it was measured.

    Source:
        Li et al. 2018, "Adaptive Batch Normalization for practical domain adaptation".
    """

    def finish(net: nn.Module, state: State) -> tuple[State, Finding]:
        net.load_state_dict(state)
        layers = measured(net, ground.learn.inputs)
        half = between(state, copied(net), HALF)
        return half, Finding(
            "statistics",
            Verdict.PASS,
            f"the statistics of {layers} normalisation layers moved half-way to those of "
            f"{len(ground.learn):,} fresh rows",
            measured=float(layers),
            unit="layers",
            n=len(ground.learn),
            enforced=False,
        )

    return Part(finish=finish)


def measured(net: nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Set the running statistics to those of the rows; say of how many layers."""
    layers = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001  # it has no public name
    kept, place = [layer.momentum for layer in layers], place_of(net)
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over batches
    net.eval()
    for layer in layers:
        layer.train()
    with torch.no_grad():
        for start in range(0, len(inputs[0]), _BATCH):
            batch = tuple(part[start : start + _BATCH].to(place) for part in inputs)
            if len(batch[0]) > 1:
                net(*batch)
    for layer, momentum in zip(layers, kept, strict=True):
        layer.momentum = momentum
    net.eval()
    return len(layers)
