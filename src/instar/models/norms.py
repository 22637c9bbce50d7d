"""Normalisations between a layer and its activation."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from instar.core.family import Family


def none(width: int, *, maps: bool) -> list[nn.Module]:
    """Normalise nothing."""
    return []


def batch(width: int, *, maps: bool) -> list[nn.Module]:
    """Normalise each unit or map over the rows of a batch, by running means when it serves.

    Source:
        Ioffe and Szegedy 2015, "Batch Normalization".
    """
    return [nn.BatchNorm2d(width) if maps else nn.BatchNorm1d(width)]


def layer(width: int, *, maps: bool) -> list[nn.Module]:
    """Normalise each row over its units, or over all its maps together.

    Source:
        Ba, Kiros and Hinton 2016, "Layer Normalization".
    """
    return [nn.GroupNorm(1, width) if maps else nn.LayerNorm(width)]


NORMS: Family[Callable[..., list[nn.Module]]] = Family(
    "norm", {"none": none, "batch": batch, "layer": layer}
)
"""Name -> make the layers, none or one: (units or maps, `maps`: whether they are maps)."""
