"""The network that serves: embeddings for the categories, two hidden layers, one logit."""

from __future__ import annotations

import torch
from torch import nn


class Lateness(nn.Module):
    """Judge one scheduled departure: numbers (n, d) and category codes (n, c) to a logit (n, 1)."""

    def __init__(self, numbers: int, categories: tuple[int, ...], width: int = 96) -> None:
        super().__init__()
        sizes = [min(16, (codes + 1) // 2) for codes in categories]
        self.embeddings = nn.ModuleList(
            nn.Embedding(codes, size) for codes, size in zip(categories, sizes, strict=True)
        )
        self.body = nn.Sequential(
            nn.Linear(numbers + sum(sizes), width),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(0.3),
        )
        self.head = nn.Linear(width, 1)

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        codes = [table(categories[:, i]) for i, table in enumerate(self.embeddings)]  # (n, size)
        return self.head(self.body(torch.cat([numbers, *codes], dim=1)))  # (n, 1)


def build(inputs) -> nn.Module:
    """Build the network for the inputs that the data have. Instar calls this."""
    return Lateness(inputs.numbers, inputs.categories)
