"""Mean absolute error."""

from __future__ import annotations

import torch
from torch.nn import functional


def mae(out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Average the distance, (n, 1): the median is what minimises it.

    Source:
        Laplace 1774, least absolute deviations; PyTorch's l1_loss.
    Example:
        >>> mae(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item()
        2.0
    """
    return functional.l1_loss(out, labels)
