"""Soft Dice: the overlap of answer and mask, class by class."""

from __future__ import annotations

import torch

from instar.core.data import VOID

_SMOOTH = 1.0  # pixels: a class that is nowhere costs next to nothing


def dice(out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Judge class logits of pixels, (n, c, h, w), by 1 less the Dice coefficient of each class.

    Overlaps are summed over the images of a batch. A rare class counts as much as a common one,
    unlike in the cross-entropy; the probabilities that it leads to are not calibrated. Pixels of
    255 in the masks, (n, h, w), are left out.

    Source:
        Milletari et al. 2016, "V-Net: Fully Convolutional Neural Networks for Volumetric Medical
        Image Segmentation", section 3.
    Example:
        >>> round(dice(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])).item(), 4)
        0.3333
    """
    known = (labels != VOID)[:, None]  # (n, 1, h, w)
    chance = torch.softmax(out, dim=1) * known
    places = torch.arange(out.shape[1], device=out.device)[:, None, None]
    truth = ((labels[:, None] == places) & known).to(out.dtype)
    both = (chance * truth).sum(dim=(0, 2, 3))
    sizes = (chance + truth).sum(dim=(0, 2, 3))
    return 1 - ((2 * both + _SMOOTH) / (sizes + _SMOOTH)).mean()
