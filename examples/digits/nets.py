"""A small convolutional network: two blocks, one hidden layer, ten logits."""

from __future__ import annotations

from torch import nn


def build(inputs) -> nn.Module:
    """Build the network for images (n, channels, height, width). Instar calls this."""
    channels, height, width = inputs.image
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), 64),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(64, inputs.outputs),
    )
