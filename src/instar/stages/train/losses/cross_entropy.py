"""Cross-entropy over classes."""

from __future__ import annotations

import torch
from torch.nn import functional

from instar.core.data import VOID


def cross_entropy(out: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Judge class logits, (n, k), by the log-likelihood of the true class.

    Of masks, (n, h, w) with logits (n, k, h, w), the mean is over all pixels that have a label.

    Args:
        smoothing: Share of each label that is spread over all classes evenly, in [0, 1).
    Source:
        PyTorch's cross_entropy; Szegedy et al. 2016, "Rethinking the Inception Architecture for
        Computer Vision", section 7 (label smoothing).
    Example:
        >>> round(cross_entropy(torch.zeros(1, 4), torch.tensor([2])).item(), 4)
        1.3863
    """
    if labels.dim() == 1:
        return functional.cross_entropy(out, labels, label_smoothing=smoothing)
    pixels = functional.cross_entropy(
        out, labels.long(), ignore_index=VOID, reduction="sum", label_smoothing=smoothing
    )
    return pixels / (labels != VOID).sum().clamp(min=1)
