"""The multilayer perceptron: numbers and embedded categories through dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from instar.core.data import InputSpec
from instar.models.activations import ACTIVATIONS
from instar.models.initialisations import initialise
from instar.models.norms import NORMS
from instar.models.options import share


class Embeddings(nn.Module):
    """Learn one vector per category value and put them side by side.

    A column with k codes gets min(16, ceil(k / 2)) places.

    Example:
        >>> Embeddings((5, 100)).width
        19
    """

    def __init__(self, categories: Sequence[int]) -> None:
        super().__init__()
        sizes = [min(16, (codes + 1) // 2) for codes in categories]
        pairs = zip(categories, sizes, strict=True)
        self.tables = nn.ModuleList(nn.Embedding(codes, size) for codes, size in pairs)
        self.width = sum(sizes)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        parts = [table(codes[:, i]) for i, table in enumerate(self.tables)]  # each (n, size)
        return torch.cat(parts, dim=1)  # (n, width)


class MLP(nn.Module):
    """Stack dense layers over everything that arrives; an image is flattened.

    `hidden` are the widths of the hidden layers; `dropout` is a fraction in [0, 1). `activation`,
    `norm` and `initialisation` are names out of their tables.

    Example:
        >>> net = MLP(InputSpec(numbers=3, categories=(4,)), hidden=[8])
        >>> net(torch.zeros(2, 3), torch.zeros(2, 1, dtype=torch.int64)).shape
        torch.Size([2, 1])
    """

    def __init__(
        self,
        inputs: InputSpec,
        hidden: Sequence[int] = (64, 64),
        dropout: float = 0.0,
        activation: str = "relu",
        norm: str = "none",
        initialisation: str = "default",
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.embeddings = Embeddings(inputs.categories)
        channels, height, width = inputs.image or (0, 0, 0)
        size = inputs.numbers + self.embeddings.width + channels * height * width
        layers: list[nn.Module] = []
        for units in hidden:
            layers += dense(size, units, dropout, activation, norm)
            size = units
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(size, inputs.outputs)
        initialise(self, initialisation)

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        x = join(self.inputs, self.embeddings, parts)  # (n, size)
        return cast(torch.Tensor, self.head(self.body(x)))  # (n, outputs)


def dense(size: int, units: int, dropout: float, activation: str, norm: str) -> list[nn.Module]:
    """Make one hidden layer: dense, normalised, activated, dropped.

    Raises:
        UnknownName: there is no such activation or normalisation.
        ImpossibleOption: the dropout is no fraction.
    Example:
        >>> [type(part).__name__ for part in dense(3, 4, 0.1, "gelu", "layer")]
        ['Linear', 'LayerNorm', 'GELU', 'Dropout']
    """
    layers = [nn.Linear(size, units), *NORMS[norm](units, maps=False), ACTIVATIONS[activation]()]
    return [*layers, nn.Dropout(dropout)] if share("dropout", dropout) else layers


def join(inputs: InputSpec, embeddings: Embeddings, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Put numbers (n, d), embedded codes (n, e) and flattened images side by side: (n, width)."""
    rest = list(parts)
    flat = [rest.pop(0)] if inputs.numbers else []
    flat += [embeddings(rest.pop(0))] if inputs.categories else []
    flat += [image.flatten(1) for image in rest]
    return torch.cat(flat, dim=1)
