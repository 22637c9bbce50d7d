"""Metrics of masks, (n, height, width); pixels of 255 have no label and are left out.

Intersections and unions are summed over all images before they are divided, so that an image
with few pixels of a class does not weigh as much as one with many.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from instar.core.data import VOID, TaskKind
from instar.stats.metrics.hits import macro
from instar.stats.metrics.metric import Floats, Labels, Metric, ratio

KINDS = frozenset({TaskKind.SEGMENTATION})


def _counts(scores: Floats, labels: Labels) -> tuple[Floats, Floats, Floats]:
    """Count hits, guesses and members of each class, image by image: three arrays (n, c)."""
    known, guess = labels != VOID, scores.argmax(axis=1)
    hits, guesses, members = (np.empty(scores.shape[:2]) for _ in range(3))
    for place in range(scores.shape[1]):
        said, true = (guess == place) & known, labels == place
        hits[:, place] = (said & true).sum(axis=(1, 2))
        guesses[:, place], members[:, place] = said.sum(axis=(1, 2)), true.sum(axis=(1, 2))
    return hits, guesses, members


def _iou(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    """Average intersection over union over the classes that are seen or answered.

    Source:
        Everingham et al. 2015, "The Pascal Visual Object Classes Challenge: A Retrospective".
    """
    hits, guesses, members = _counts(scores, labels)
    unions = guesses + members - hits

    def iou(weights: Floats) -> Floats:
        union = weights @ unions
        return macro(weights @ hits, union, union)

    return iou


def _dice(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    """Average the Dice coefficient over the classes that are seen or answered.

    Source:
        Dice 1945, "Measures of the Amount of Ecologic Association Between Species".
    """
    hits, guesses, members = _counts(scores, labels)
    both = guesses + members

    def dice(weights: Floats) -> Floats:
        below = weights @ both
        return macro(2 * (weights @ hits), below, below)

    return dice


def _pixels(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    hits, _, members = (part.sum(axis=1) for part in _counts(scores, labels))
    return lambda weights: ratio(weights @ hits, weights @ members)


MEAN_IOU = Metric("mean_iou", _iou, KINDS, dims=3)
MEAN_DICE = Metric("mean_dice", _dice, KINDS, dims=3)
PIXEL_ACCURACY = Metric("pixel_accuracy", _pixels, KINDS, dims=3)
