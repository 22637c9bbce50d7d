"""Initialisations: what the weights of a new network of ours are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import nn

from instar.core.family import Family

Draw: TypeAlias = Callable[[torch.Tensor], object]
"""Fill a weight, (out, in, ...), in place."""


def leave(weight: torch.Tensor) -> None:
    """Keep what PyTorch drew: uniform within 1 / root of the inputs."""


def he(weight: torch.Tensor) -> None:
    """Draw from a normal of variance 2 / inputs.

    Source:
        He et al. 2015, "Delving Deep into Rectifiers".
    """
    nn.init.kaiming_normal_(weight, nonlinearity="relu")


INITIALISATIONS: Family[Draw] = Family(
    "initialisation",
    {
        "default": leave,
        "xavier": nn.init.xavier_uniform_,  # Glorot and Bengio 2010
        "he": he,
        "orthogonal": nn.init.orthogonal_,  # Saxe et al. 2014
    },
)


def initialise(module: nn.Module, name: str) -> None:
    """Draw the weights of dense and convolutional layers anew; their biases become zero.

    `default` leaves everything as it is.

    Raises:
        UnknownName: there is no such initialisation.
    Example:
        >>> layer = nn.Linear(3, 3)
        >>> initialise(layer, "orthogonal")
        >>> bool(torch.allclose(layer.weight @ layer.weight.T, torch.eye(3), atol=1e-5))
        True
    """
    draw = INITIALISATIONS[name]
    if draw is leave:
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
