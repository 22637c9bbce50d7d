"""Focal loss: rows that are easy count little."""

from __future__ import annotations

import torch
from torch.nn import functional

_GAMMA = 2.0


def focal(out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Weigh each row's cross-entropy by (1 - p)^2, with p the probability of its true class.

    Source:
        Lin et al. 2017, "Focal Loss for Dense Object Detection", gamma 2, no class weights.
    Example:
        >>> round(focal(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.1733
    """
    if labels.is_floating_point():
        rows = functional.binary_cross_entropy_with_logits(out, labels, reduction="none")
    else:
        rows = functional.cross_entropy(out, labels, reduction="none")
    return ((-torch.expm1(-rows)) ** _GAMMA * rows).mean()  # exp(-rows) is p
