"""Objects in an image: boxes, each of a class and with a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from instar.core.data import BOX, OBJECTS, Task
from instar.tasks.form import Bools, Floats, Form, Labels, Told, Truth, WrongLabel

LABEL, SCORE = BOX, BOX + 1  # places in an answer's last axis
HALF = 0.5  # where the task names no thresholds
OVERLAP = 0.5  # from which on a box has found an object, as in Pascal VOC
_HALF_AN_OBJECT = 0.5
_CELLS = 1 << 22  # pairs of boxes that are held against each other at once


class Detection(Form):
    """Up to 100 objects an image, (n, 100, 6): x1, y1, x2, y2 in pixels, class, score in (0, 1].

    Classes count from 1 in the order of the task's, as in torchvision; rows of zeros fill up what
    is not there. Labels are the same without a score, (n, 100, 5). An object is given where its
    score reaches the threshold of its class. What is right or wrong is each object that is there,
    found by a given box of its class that overlaps it by half or more, and of each image its
    background, right where nothing else is given: (n, 101).
    """

    metric = "map"
    agreement = "map"
    losses = ("network",)
    live: ClassVar[tuple[str, ...]] = ()  # boxes come back with the next update's data
    qualities = ("brier",)
    meaning = "up to 100 boxes an image, in pixels, each with one of {classes} and a score"
    cell = "objects and backgrounds"

    def scores(self, logits: Floats) -> Floats:
        return logits

    def shape(self, task: Task, labels: Labels) -> tuple[int, ...]:
        return (len(labels), OBJECTS, BOX + 2)

    def outputs(self, task: Task) -> tuple[str, ...]:
        return ("x1", "y1", "x2", "y2", "class", "score")

    def decide(self, scores: Floats, task: Task) -> Labels:
        """Take the objects whose score reaches the threshold of their class, (n, 100, 5)."""
        kinds = np.nan_to_num(scores[..., LABEL]).astype(int)
        given = scores[..., SCORE] >= _thresholds(task)[kinds]
        return np.asarray(np.where(given[..., None], scores[..., : BOX + 1], 0.0))

    def known(self, labels: Labels) -> Bools:
        there = labels[..., LABEL] > 0
        return np.concatenate([there, np.ones((len(labels), 1), bool)], axis=1)

    def right(self, scores: Floats, labels: Labels, task: Task) -> Bools:
        given = np.where(self.decide(scores, task)[..., LABEL:], scores, 0.0)
        found = matched(given, labels, [OVERLAP])[:, 0]  # (n, 100)
        right = np.zeros((len(labels), labels.shape[1] + 1), bool)
        rows, columns = np.nonzero(found >= 0)
        right[rows, found[rows, columns]] = True
        right[:, -1] = ~((given[..., LABEL] > 0) & (found < 0)).any(axis=1)
        return right

    def cells(self, scores: Floats, labels: Labels) -> tuple[Floats, Labels]:
        """Lay out the boxes that are answered: wrong or right, by their scores."""
        there = scores[..., LABEL] > 0
        if not there.any():  # nothing is claimed, and nothing wrong
            return np.array([[1.0, 0.0]]), np.zeros(1, np.int64)
        chance = scores[there][:, SCORE]
        hit = matched(scores, labels, [OVERLAP])[:, 0][there] >= 0
        return np.stack([1 - chance, chance], axis=1), hit.astype(np.int64)

    def names(self, task: Task) -> tuple[str, ...]:
        return (*task.classes, "nothing")

    def confused(self, scores: Floats, labels: Labels, task: Task) -> NDArray[np.int64]:
        """Count objects by the class of the given box that overlaps them, whatever its class.

        The last class is "nothing": an object without a box, or a box without an object.
        """
        given = np.where(self.decide(scores, task)[..., LABEL:], scores, 0.0)
        blank, bare = given.copy(), labels.copy()
        blank[..., LABEL], bare[..., LABEL] = given[..., LABEL] > 0, labels[..., LABEL] > 0
        found = matched(blank, bare, [OVERLAP])[:, 0]
        counts = np.zeros((len(task.classes) + 1,) * 2, np.int64)
        said, true = given[..., LABEL].astype(int) - 1, labels[..., LABEL].astype(int) - 1
        rows, columns = np.nonzero(found >= 0)
        np.add.at(counts, (true[rows, found[rows, columns]], said[rows, columns]), 1)
        np.add.at(counts[-1], said[(said >= 0) & (found < 0)], 1)
        missed = true >= 0
        missed[rows, found[rows, columns]] = False
        np.add.at(counts[:, -1], true[missed], 1)
        return counts

    def apart(self, first: Floats, second: Floats) -> Floats:
        """Hold objects against those of another runtime that lie over them, (n, 6).

        Corners are apart as shares of the object's longer side, scores as they are. An object
        that the other has not counts under `class` as how far its score lies above what could
        have been cut off.
        """
        out = np.zeros((len(first), BOX + 2))
        for ours, theirs in ((first, second), (second, first)):
            found = matched(ours, theirs, [OVERLAP])[:, 0]
            rows, columns = np.nonzero(found >= 0)
            mine, other = ours[rows, columns], theirs[rows, found[rows, columns]]
            unit = np.maximum(np.ptp(mine[:, 0:BOX:2], axis=1), np.ptp(mine[:, 1:BOX:2], axis=1))
            gaps = np.abs(mine - other)
            gaps[:, :BOX] /= np.maximum(unit, 1e-6)[:, None]
            np.maximum.at(out, rows, gaps)
            lost = (ours[..., LABEL] > 0) & (found < 0)
            above = np.where(lost, ours[..., SCORE] - _cut(ours, theirs)[:, None], 0.0)
            out[:, LABEL] = np.maximum(out[:, LABEL], above.max(axis=1))
        out[~np.isfinite(first + second).all(axis=(1, 2))] = np.nan
        return out

    def told(self, answer: Any, task: Task) -> str:
        counts = np.bincount(np.asarray(answer)[:, LABEL].astype(int), minlength=2)[1:]
        named = zip(counts.tolist(), task.classes, strict=False)
        return ", ".join(f"{count} {name}" for count, name in named if count) or "nothing"

    def outlines(self, answer: Any) -> list[tuple[float, ...]]:
        return [tuple(box) for *box, label in np.asarray(answer).tolist() if label]

    def typed(self, labels: Floats) -> Labels:
        return labels

    def kept(self, scores: Floats) -> Floats:
        """Reduce an answer to how many objects it counts: the sum of its scores, (n, 1)."""
        return np.asarray(scores[..., SCORE].sum(axis=1, keepdims=True))

    def parted(self, one: Floats, task: Task, other: Floats, others: Task, within: float) -> Bools:
        """Tell where the counts of objects are further apart than rounding."""
        return np.asarray((np.abs(one - other) > _HALF_AN_OBJECT).any(axis=1))

    def marked(self, scores: Floats, task: Task) -> Floats:
        """Give the highest score of each class, (n, classes)."""
        places = np.arange(1, len(task.classes) + 1)
        ours = scores[..., LABEL, None] == places  # (n, 100, classes)
        return np.asarray(np.where(ours, scores[..., SCORE, None], 0.0).max(axis=1))

    def tensors(self, task: Task) -> list[dict[str, Any]]:
        names = {"classes": ",".join(task.classes)}
        shape = [-1, OBJECTS]
        return [
            {"name": "boxes", "datatype": "FP32", "shape": [*shape, BOX]},
            {"name": "labels", "datatype": "INT64", "shape": shape, "parameters": names},
            {"name": "scores", "datatype": "FP32", "shape": shape},
        ]

    def tensor(self, name: str, scores: Floats, task: Task) -> Labels:
        if name == "labels":
            return scores[..., LABEL].astype(np.int64)
        return np.ascontiguousarray(scores[..., :BOX] if name == "boxes" else scores[..., SCORE])

    def plain(self, scores: Floats, task: Task) -> list[dict[str, Any]]:
        """List the objects that are given, the surest first."""
        given = self.decide(scores, task)[..., LABEL] > 0
        return [
            {
                "objects": [
                    {
                        "label": task.classes[int(one[LABEL]) - 1],
                        "score": one[SCORE],
                        "box": one[:BOX],
                    }
                    for one in sorted(row[there].tolist(), key=lambda one: -one[SCORE])
                ]
            }
            for row, there in zip(scores, given, strict=True)
        ]

    def truth(self, label: Told, task: Task) -> Truth:
        raise WrongLabel("boxes beside the images of the next update, no feedback", label)


def _thresholds(task: Task) -> NDArray[np.float64]:
    """List from which score on each class is given; nothing, the class 0, never is."""
    each = task.thresholds or (HALF,) * len(task.classes)
    return np.array([np.inf, *each])


def _cut(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Say up to which score an object may lack in one of two answers alone, (n,).

    A detector drops what lies below a score of its own, and the last of too many: near either, the
    least rounding decides.
    """
    least = [np.where(s[..., LABEL] > 0, s[..., SCORE], np.inf) for s in (first, second)]
    lowest = min(float(part.min(initial=np.inf)) for part in least)
    cut = np.full(len(first), 0.0 if np.isinf(lowest) else lowest)
    for part in least:
        full = np.isfinite(part).all(axis=1)
        cut = np.where(full, np.maximum(cut, part.min(axis=1)), cut)
    return cut


def overlap(first: Floats, second: Floats) -> Floats:
    """Measure intersection over union of boxes, (n, a, 4+) and (n, b, 4+) -> (n, a, b).

    Example:
        >>> overlap(np.array([[[0, 0, 2, 2]]]), np.array([[[1, 0, 3, 2], [5, 5, 6, 6]]])).round(2)
        array([[[0.33, 0.  ]]])
    """
    ours, theirs = first[:, :, None], second[:, None]
    low = np.maximum(ours[..., :2], theirs[..., :2])
    high = np.minimum(ours[..., 2:BOX], theirs[..., 2:BOX])
    both = np.maximum(high - low, 0.0).prod(axis=-1)
    areas = [(part[..., 2:BOX] - part[..., :2]).prod(axis=-1) for part in (ours, theirs)]
    return np.asarray(both / np.maximum(areas[0] + areas[1] - both, 1e-12))


def matched(scores: Floats, labels: Labels, levels: Sequence[float]) -> NDArray[np.int64]:
    """Say which object each box has found, at each level of overlap, as COCO's evaluation does.

    Box by box, the surest first: each takes the object of its class that it overlaps most, out of
    those that none took before it, if by the level or more.

    Args:
        scores: Answers, (n, a, 6).
        labels: Objects, (n, b, 5) or more columns.
        levels: Intersections over unions, (t,).
    Returns:
        Places among the objects, or -1, (n, t, a).
    Source:
        Lin et al. 2014, "Microsoft COCO: Common Objects in Context"; pycocotools, `evaluateImg`.
    Example:
        >>> box, half = [0, 0, 2, 2, 1], [0, 0, 2, 1, 1]
        >>> matched(np.array([[[*half, 0.9], [*box, 0.8]]]), np.array([[box]]), [0.5, 0.75])
        array([[[ 0, -1],
                [-1,  0]]])
    """
    found = np.full((len(scores), len(levels), scores.shape[1]), -1, np.int64)
    width = [
        max(1, int((part[..., LABEL] > 0).sum(axis=1).max(initial=0))) for part in (scores, labels)
    ]
    step = max(1, _CELLS // (width[0] * width[1] * len(levels)))
    for start in range(0, len(scores), step):
        part = slice(start, start + step)
        _match(scores[part], labels[part], np.asarray(levels), found[part])
    return found


def _match(scores: Floats, labels: Labels, levels: Floats, found: NDArray[np.int64]) -> None:
    """Match some rows, all of them in step, and write into `found`."""
    true, truth = _first(labels[..., LABEL] > 0, np.zeros(labels.shape[:2]))
    said, boxes = _first(scores[..., LABEL] > 0, -scores[..., SCORE])
    objects = np.take_along_axis(labels, true[..., None], axis=1)
    answers = np.take_along_axis(scores, said[..., None], axis=1)
    common = overlap(answers.astype(np.float64), objects.astype(np.float64))  # (n, a, b)
    same = answers[..., None, LABEL] == objects[:, None, :, LABEL]
    common[~(same & boxes[..., None] & truth[:, None])] = -1.0
    rows, kinds = (np.asarray(part) for part in np.indices(found.shape[:2]))
    free = np.ones((len(scores), len(levels), common.shape[2]), bool)
    for place in range(common.shape[1]):
        fits = np.where(free, common[:, None, place], -1.0)  # (n, t, b)
        # Of several that it overlaps equally, COCO takes the last.
        best = np.asarray(fits.shape[2] - 1 - fits[..., ::-1].argmax(axis=2))  # (n, t)
        hit = np.take_along_axis(fits, best[..., None], axis=2)[..., 0] >= levels
        found[rows[hit], kinds[hit], np.broadcast_to(said[:, None, place], hit.shape)[hit]] = true[
            rows[hit], best[hit]
        ]
        free[rows[hit], kinds[hit], best[hit]] = False


def _first(there: Bools, rank: Floats) -> tuple[NDArray[np.int64], Bools]:
    """Put what is there first, by rank, and cut off where no row has more: places, and which."""
    most = max(1, int(there.sum(axis=1).max(initial=0)))
    order = np.argsort(np.where(there, rank, np.inf), axis=1, kind="stable")[:, :most]
    return order, np.take_along_axis(there, order, axis=1)
