"""Metrics of detectors, as COCO has them, under weights of the images.

Labels are (n, 100, 5), scores (n, 100, 6); see `instar.tasks.detection`. A library that has these
figures, as faster-coco-eval, gives them for one data set; an interval needs them for a thousand
weightings of its images, so that boxes are matched once here. The tests hold both side by side.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar.core.data import TaskKind
from instar.core.digest import digest_bytes
from instar.stats.metrics.metric import Floats, Labels, Metric, Weighted, chunks, ratio
from instar.tasks.detection import HALF, LABEL, SCORE, matched

KINDS = frozenset({TaskKind.DETECTION})
LEVELS = np.linspace(0.5, 0.95, 10)
"""Intersections over unions from which on a box has found an object: COCO's."""
_RECALLS = np.linspace(0, 1, 101)
_CELLS = 1 << 21  # weightings x boxes handled at once: 16 MB
_KEPT = 8  # pairs of scores and labels whose matches are kept: gates ask for several metrics


@dataclass(frozen=True, slots=True)
class _Class:
    """The boxes of one class, the surest first, and its objects.

    `image` (d,) says where each box is, `hit` (t, d) whether it has found an object at each level,
    `score` (d,) how sure it is; `objects` (n,) counts those of each image.
    """

    image: NDArray[np.int64]
    hit: NDArray[np.bool_]
    score: Floats
    objects: Floats


class _Pair:
    """Scores and labels, told apart from others by their bytes; they are handed out once."""

    def __init__(self, scores: Floats, labels: Labels) -> None:
        self.held = [(scores, labels)]
        parts = (np.ascontiguousarray(part) for part in (scores, labels))
        self.key = digest_bytes(b"".join(part.tobytes() for part in parts))

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Pair) and self.key == other.key


def _classes(scores: Floats, labels: Labels) -> tuple[_Class, ...]:
    return _sorted(_Pair(scores, labels))


@functools.lru_cache(_KEPT)
def _sorted(pair: _Pair) -> tuple[_Class, ...]:
    """Match all boxes, and sort them by class and score; equal scores stay in the images' order."""
    scores, labels = pair.held.pop()  # the key stays, what it was made of need not
    found = matched(scores, labels, LEVELS.tolist()) >= 0  # (n, t, a)
    image, place = np.nonzero(scores[..., LABEL] > 0)
    kind, score = scores[image, place, LABEL], scores[image, place, SCORE]
    order = np.argsort(-score, kind="stable")
    made = []
    for each in np.unique(np.concatenate([kind, labels[labels[..., LABEL] > 0][:, LABEL]])):
        ours = order[kind[order] == each]
        hit = found[image[ours], :, place[ours]].T
        objects = (labels[..., LABEL] == each).sum(axis=1).astype(np.float64)
        made.append(_Class(image[ours], hit, score[ours], objects))
    return tuple(made)


def _average(each: Sequence[Floats], count: int) -> Floats:
    """Average over classes, and levels, that have objects: (b,) or (t, b) each."""
    if not each:
        return np.full(count, np.nan)
    table = np.concatenate([np.atleast_2d(part) for part in each])
    known = ~np.isnan(table)
    return ratio(np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def _map(levels: slice) -> Weighted:
    def prepare(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
        """Average the precision over recalls from 0 to 1, classes, and levels of overlap.

        Source:
            Lin et al. 2014, "Microsoft COCO: Common Objects in Context"; pycocotools `accumulate`.
        """
        classes = _classes(scores, labels)

        def mean(weights: Floats) -> Floats:
            each = [_precision(one, weights, levels) for one in classes]
            return _average(each, len(weights))

        return mean

    return prepare


def _precision(one: _Class, weights: Floats, levels: slice) -> Floats:
    """Measure the average precision of one class at each level, (t, b); NaN without objects."""
    size = max(1, _CELLS // max(1, len(one.image)))
    parts, start = [], 0
    for count in chunks(len(weights), size):
        parts.append(_curves(one, weights[start : start + count], levels))
        start += count
    return np.concatenate(parts, axis=1)


def _curves(one: _Class, weights: Floats, levels: slice) -> Floats:
    """Look at the curve where it has a hit: there alone it is as high as behind."""
    total = weights @ one.objects  # (b,)
    each = weights[:, one.image]  # (b, d)
    claimed = each.cumsum(axis=1)
    out = np.full((len(one.hit[levels]), len(weights)), np.nan)
    for level, hit in enumerate(one.hit[levels]):
        at = np.flatnonzero(hit)
        true = each[:, at].cumsum(axis=1)  # (b, h)
        best = true / np.maximum(claimed[:, at], np.spacing(1))
        best = np.maximum.accumulate(best[:, ::-1], axis=1)[:, ::-1]
        for row in np.flatnonzero(total):
            first = np.searchsorted(true[row] / total[row], _RECALLS)
            there = first < len(at)
            out[level, row] = best[row, first[there]].sum() / len(_RECALLS)
    return out


def _recall(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    """Average the share of objects that are found, over classes and levels: COCO's AR at 100."""
    found = [(_by_image(one, len(labels)), one.objects) for one in _classes(scores, labels)]

    def mean(weights: Floats) -> Floats:
        each = []
        for hits, objects in found:
            total = np.broadcast_to(weights @ objects, (len(hits), len(weights)))
            each.append(ratio(hits @ weights.T, total))
        return _average(each, len(weights))

    return mean


def _by_image(one: _Class, images: int) -> Floats:
    """Count the hits of each image at each level, (t, n)."""
    return np.stack([np.bincount(one.image[hit], minlength=images) for hit in one.hit]).astype(
        float
    )


def _f1(thresholds: Sequence[float]) -> Weighted:
    def prepare(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
        """Take the F1 of the boxes that are given, found by half or more, over all classes."""
        limits = np.array([np.inf, *thresholds])[_place(scores, thresholds)]
        given = scores[..., SCORE] >= limits
        hit = given & (matched(scores, labels, [HALF])[:, 0] >= 0)
        claims = (given.sum(axis=1) + (labels[..., LABEL] > 0).sum(axis=1)).astype(np.float64)
        hits = 2.0 * hit.sum(axis=1)
        return lambda weights: ratio(weights @ hits, weights @ claims)

    return prepare


def _place(scores: Floats, thresholds: Sequence[float]) -> NDArray[Any]:
    """Find each box's place among the thresholds; one threshold holds for all classes."""
    places = np.nan_to_num(scores[..., LABEL]).astype(int)
    return np.minimum(places, 1) if len(thresholds) == 1 else places


MAP = Metric("map", _map(slice(None)), KINDS, dims=3)
MAP50 = Metric("map50", _map(slice(1)), KINDS, dims=3)
MEAN_RECALL = Metric("mean_recall", _recall, KINDS, dims=3)
OBJECT_F1 = Metric("object_f1", _f1((HALF,)), KINDS, dims=3, at=_f1)
