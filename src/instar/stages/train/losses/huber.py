"""Huber's loss."""

from __future__ import annotations

import torch
from torch.nn import functional


def huber(out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Square distances below 1, (n, 1), and count larger ones in a straight line.

    Source:
        Huber 1964, "Robust Estimation of a Location Parameter"; PyTorch's huber_loss, delta 1.
    Example:
        >>> huber(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item()
        1.5
    """
    return functional.huber_loss(out, labels)
