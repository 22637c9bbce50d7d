"""Batch-norm statistics: moved half-way to those of other rows; no label is read."""

from __future__ import annotations

import torch
from torch import nn

from instar.models.predict import place_of

HALF = 0.5
_BATCH = 512


def layers(net: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """List the normalisation layers that keep running statistics."""
    kind = nn.modules.batchnorm._BatchNorm  # noqa: SLF001  # it has no public name
    return [m for m in net.modules() if isinstance(m, kind) and m.track_running_stats]


def half_way(net: nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Move the running statistics half-way to those of the rows; say of how many layers.

    Half-way, since all the way broke old rows by eight points where it was measured. The network
    is left in evaluation mode.

    Args:
        inputs: The network's call arguments, each (n, ...).
    Source:
        Li et al. 2018, "Adaptive Batch Normalization for practical domain adaptation".
    """
    found, place = layers(net), place_of(net)
    before = [(one.running_mean, one.running_var, one.momentum) for one in found]
    net.eval()
    for layer in found:
        # Not in place: what was measured before must stay to go half-way from.
        layer.running_mean = torch.zeros_like(layer.running_mean)  # type: ignore[arg-type]
        layer.running_var = torch.ones_like(layer.running_var)  # type: ignore[arg-type]
        layer.num_batches_tracked.zero_()  # type: ignore[union-attr]
        layer.momentum = None  # a plain mean over batches
        layer.train()
    with torch.no_grad():
        for start in range(0, len(inputs[0]), _BATCH):
            batch = tuple(part[start : start + _BATCH].to(place) for part in inputs)
            if len(batch[0]) > 1:
                net(*batch)
        for layer, (mean, variance, momentum) in zip(found, before, strict=True):
            layer.running_mean = torch.lerp(mean, layer.running_mean, HALF)  # type: ignore[arg-type]
            layer.running_var = torch.lerp(variance, layer.running_var, HALF)  # type: ignore[arg-type]
            layer.momentum = momentum
    net.eval()
    return len(found)
