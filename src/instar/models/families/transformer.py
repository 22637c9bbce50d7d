"""The transformer: a token per number, per category and per patch of an image."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from instar.core.data import InputSpec
from instar.core.errors import InputError
from instar.models.options import count, share


class NoPatches(InputError):
    """Refuse an image that does not divide into patches."""

    code = "input.no_patches"

    def __init__(self, image: tuple[int, int, int], patch: int) -> None:
        super().__init__(
            f"image sides that are multiples of {patch}",
            f"{image[1]} x {image[2]}",
            "set `patch` in `network`, or use the family cnn",
        )


class NoHeads(InputError):
    """Refuse a width that does not divide among the attention heads."""

    code = "input.no_heads"

    def __init__(self, width: int, heads: int) -> None:
        got = f"width {width} and {heads} heads"
        super().__init__("a width that is a multiple of the heads", got, "correct `network`")


class NoTokens(InputError):
    """Refuse a transformer where nothing arrives."""

    code = "input.no_tokens"

    def __init__(self) -> None:
        super().__init__(
            "numbers, categories or an image", "nothing", "name features to learn from"
        )


class Transformer(nn.Module):
    """Let tokens of all inputs attend to each other; a token of its own goes on to the head.

    `width` is a token's, `depth` counts the blocks, `heads` those of the attention, `patch` is
    the side of an image's patches in pixels, `dropout` a fraction in [0, 1).

    Source:
        Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data" (FT-Transformer),
        with GELU in place of ReGLU; patches as in Dosovitskiy et al. 2021, "An Image is Worth
        16x16 Words".
    Example:
        >>> net = Transformer(InputSpec(numbers=3, categories=(4,)), width=8, heads=2)
        >>> net(torch.zeros(2, 3), torch.zeros(2, 1, dtype=torch.int64)).shape
        torch.Size([2, 1])
    """

    def __init__(
        self,
        inputs: InputSpec,
        width: int = 32,
        depth: int = 2,
        heads: int = 4,
        patch: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if count("width", width) % count("heads", heads):
            raise NoHeads(width, heads)
        share("dropout", dropout)
        self.tokens = Tokens(inputs, width, count("patch", patch))
        blocks = (Block(width, heads, dropout) for _ in range(count("depth", depth)))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, inputs.outputs)

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.tokens(*parts))  # (n, tokens, width)
        answer = functional.relu(self.norm(x[:, 0]))  # (n, width)
        return cast(torch.Tensor, self.head(answer))  # (n, outputs)


class Tokens(nn.Module):
    """Turn everything that arrives into tokens, (n, 1 + tokens, width), the answer's first.

    Example:
        >>> tokens = Tokens(InputSpec(numbers=3, image=(1, 8, 8)), width=16, patch=4)
        >>> tokens(torch.zeros(2, 3), torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 8, 16])
    """

    def __init__(self, inputs: InputSpec, width: int, patch: int) -> None:
        super().__init__()
        if not (inputs.numbers or inputs.categories or inputs.image):
            raise NoTokens
        self.inputs = inputs
        self.answer = _drawn(1, width)
        if inputs.numbers:
            self.scale, self.shift = _drawn(inputs.numbers, width), _drawn(inputs.numbers, width)
        if inputs.categories:
            self.tables = nn.ModuleList(nn.Embedding(codes, width) for codes in inputs.categories)
            self.columns = _drawn(len(inputs.categories), width)
        if inputs.image:
            channels, height, breadth = inputs.image
            if height % patch or breadth % patch:
                raise NoPatches(inputs.image, patch)
            self.patches = nn.Conv2d(channels, width, patch, stride=patch)
            self.places = _drawn(height // patch * (breadth // patch), width)

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        rest = list(parts)
        rows = parts[0].shape[0]  # len() would fix the number of rows of an exported graph
        tokens = [self.answer.expand(rows, -1, -1)]  # each (n, tokens, width)
        if self.inputs.numbers:
            tokens.append(rest.pop(0)[:, :, None] * self.scale + self.shift)
        if self.inputs.categories:
            codes = rest.pop(0)  # (n, columns)
            values = [table(codes[:, i]) for i, table in enumerate(self.tables)]
            tokens.append(torch.stack(values, dim=1) + self.columns)
        if self.inputs.image:
            tokens.append(self.patches(rest.pop(0)).flatten(2).transpose(1, 2) + self.places)
        return torch.cat(tokens, dim=1)


class Block(nn.Module):
    """Attend, then think for each token alone; each on top of what was there, normalised first.

    Example:
        >>> Block(8, heads=2, dropout=0.0)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before, self.attention = nn.LayerNorm(width), Attention(width, heads, dropout)
        self.between = nn.LayerNorm(width)
        self.dense = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(self.attention(self.before(x)))
        return cast(torch.Tensor, x + self.dropout(self.dense(self.between(x))))


class Attention(nn.Module):
    """Mix tokens by how much each asks for the others.

    Source:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.
    Example:
        >>> Attention(8, heads=2, dropout=0.0)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.asked = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        each = self.asked(x).unflatten(2, (3, self.heads, -1))  # (n, tokens, 3, heads, d)
        query, key, value = each.permute(2, 0, 3, 1, 4).unbind(0)  # each (n, heads, tokens, d)
        dropout = self.dropout if self.training else 0.0
        out = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return cast(torch.Tensor, self.mixed(out.transpose(1, 2).flatten(2)))


def _drawn(count: int, width: int) -> nn.Parameter:
    """Draw (count, width) uniformly within 1 / root of the width, as for a dense layer."""
    bound = 1 / math.sqrt(width)
    return nn.Parameter(torch.empty(count, width).uniform_(-bound, bound))
