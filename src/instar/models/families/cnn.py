"""The small convolutional network: images, with numbers and categories joined before the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from instar.core.data import InputSpec
from instar.core.errors import InputError
from instar.models.activations import ACTIVATIONS
from instar.models.families.mlp import Embeddings, dense, join
from instar.models.initialisations import initialise
from instar.models.norms import NORMS


class NoImage(InputError):
    """Refuse a convolutional network where no image arrives, or one too small to halve."""

    code = "input.no_image"

    def __init__(self, image: tuple[int, int, int] | None, halvings: int) -> None:
        least = 2**halvings
        got = f"one of {image[1]} x {image[2]}" if image else "none"
        super().__init__(
            f"an image column of at least {least} x {least} pixels",
            got,
            "use the family mlp or fewer channels",
        )


class CNN(nn.Module):
    """Convolve 3 x 3, halve, repeat; then one hidden dense layer, or several.

    `channels` are the widths of the convolutions, `hidden` that of the dense layer, or a list;
    `dropout` is a fraction in [0, 1), behind each dense layer. `activation`, `norm` and
    `initialisation` are names out of their tables.

    Example:
        >>> net = CNN(InputSpec(image=(1, 8, 8), outputs=10), channels=[4, 8], hidden=16)
        >>> net(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        inputs: InputSpec,
        channels: Sequence[int] = (16, 32),
        hidden: int | Sequence[int] = 64,
        dropout: float = 0.0,
        activation: str = "relu",
        norm: str = "none",
        initialisation: str = "default",
    ) -> None:
        super().__init__()
        if not inputs.image or min(inputs.image[1:]) < 2 ** len(channels):
            raise NoImage(inputs.image, len(channels))
        self.inputs = inputs
        self.embeddings = Embeddings(inputs.categories)
        depth, height, width = inputs.image
        layers: list[nn.Module] = []
        for maps in channels:
            layers += [nn.Conv2d(depth, maps, 3, padding=1), *NORMS[norm](maps, maps=True)]
            layers += [ACTIVATIONS[activation](), nn.MaxPool2d(2)]
            depth, height, width = maps, height // 2, width // 2
        self.convolutions = nn.Sequential(*layers)
        size = inputs.numbers + self.embeddings.width + depth * height * width
        stack: list[nn.Module] = []
        for units in [hidden] if isinstance(hidden, int) else hidden:
            stack += dense(size, units, dropout, activation, norm)
            size = units
        self.dense = nn.Sequential(*stack)
        self.head = nn.Linear(size, inputs.outputs)
        initialise(self, initialisation)

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        *table, image = parts
        maps = self.convolutions(image)  # (n, depth, height, width)
        x = join(self.inputs, self.embeddings, [*table, maps])  # (n, size)
        return cast(torch.Tensor, self.head(self.dense(x)))  # (n, outputs)
