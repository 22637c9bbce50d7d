"""Binary cross-entropy."""

from __future__ import annotations

import torch
from torch.nn import functional

from instar.stages.train.losses.loss import over_known


def bce(out: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Judge the logit of a yes, (n, 1), by its log-likelihood; of several labels, of each.

    Labels that are not known, NaN among several, (n, k), are left out.

    Args:
        smoothing: Share of each label that goes to an even draw between yes and no, in [0, 1).
    Source:
        PyTorch's binary_cross_entropy_with_logits; Szegedy et al. 2016, "Rethinking the
        Inception Architecture for Computer Vision", section 7 (label smoothing).
    Example:
        >>> round(bce(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.6931
    """
    smoothed = labels.lerp(torch.full_like(labels, 0.5), smoothing) if smoothing else labels
    if labels.shape[-1] == 1:
        return functional.binary_cross_entropy_with_logits(out, smoothed)
    cells = functional.binary_cross_entropy_with_logits(
        out, smoothed.nan_to_num(), reduction="none"
    )
    return over_known(cells, labels)
