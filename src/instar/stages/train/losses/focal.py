"""Focal loss: rows that are easy count little."""

from __future__ import annotations

import torch
from torch.nn import functional

from instar.stages.train.losses.loss import over_known

_GAMMA = 2.0


def focal(out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Weigh each row's cross-entropy by (1 - p)^2, with p the probability of its true class.

    Of several labels a row, (n, k), each counts that is known.

    Source:
        Lin et al. 2017, "Focal Loss for Dense Object Detection", gamma 2, no class weights.
    Example:
        >>> round(focal(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.1733
    """
    if labels.is_floating_point():
        truth = labels.nan_to_num()
        rows = functional.binary_cross_entropy_with_logits(out, truth, reduction="none")
    else:
        rows = functional.cross_entropy(out, labels, reduction="none")
    weighed = (-torch.expm1(-rows)) ** _GAMMA * rows  # exp(-rows) is p
    return over_known(weighed, labels) if labels.shape[1:] > (1,) else weighed.mean()
