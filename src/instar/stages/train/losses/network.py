"""The network's own losses, as a detector tells them."""

from __future__ import annotations

import torch


def network(out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Add up the losses that a network has told, (k,), being given the labels.

    Source:
        torchvision's reference training of detectors, `train_one_epoch`.
    Example:
        >>> network(torch.tensor([0.5, 1.5]), torch.zeros(1, 100, 5)).item()
        2.0
    """
    return out.sum()
