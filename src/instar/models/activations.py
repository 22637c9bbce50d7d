"""Activations: what stands between two layers of a network of ours."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from instar.core.family import Family

ACTIVATIONS: Family[Callable[[], nn.Module]] = Family(
    "activation",
    {
        "relu": nn.ReLU,  # Nair and Hinton 2010
        "leaky_relu": nn.LeakyReLU,  # Maas et al. 2013, slope 0.01
        "prelu": nn.PReLU,  # He et al. 2015, one slope a layer, learnt
        "gelu": nn.GELU,  # Hendrycks and Gimpel 2016
        "tanh": nn.Tanh,  # LeCun et al. 1998
        "elu": nn.ELU,  # Clevert et al. 2016
    },
)
"""Name -> make a layer. All but `prelu` are without weights."""
