"""Hinge: right by a margin of 1 costs nothing."""

from __future__ import annotations

import torch
from torch.nn import functional


def hinge(out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Judge by how much the margin of 1 is missed; over several classes, by the sum over k, by k.

    The logits that it leads to are no log-odds, so the probabilities made of them are not
    calibrated.

    Source:
        Cortes and Vapnik 1995, "Support-Vector Networks"; over classes Weston and Watkins 1999,
        PyTorch's multi_margin_loss.
    Example:
        >>> hinge(torch.tensor([[0.25], [3.0]]), torch.tensor([[1.0], [1.0]])).item()
        0.375
    """
    if not labels.is_floating_point():
        return functional.multi_margin_loss(out, labels)
    return functional.relu(1 - (2 * labels - 1) * out).mean()
