"""Mean squared error."""

from __future__ import annotations

import torch
from torch.nn import functional


def mse(out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Average the squared distance, (n, 1): the mean is what minimises it.

    Source:
        Legendre 1805, least squares; PyTorch's mse_loss.
    Example:
        >>> mse(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item()
        4.0
    """
    return functional.mse_loss(out, labels)
