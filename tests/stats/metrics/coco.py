"""Figures of detectors as others compute them, and boxes to compute them of."""

from __future__ import annotations

from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

NAMES = ("map", "map50", "mean_recall")


def drawn(
    images: int, rng: np.random.Generator, classes: int = 3, most: int = 6
) -> tuple[Any, Any]:
    """Draw objects, and answers: most near one of them, some elsewhere, with many equal scores."""
    labels, scores = np.zeros((images, 100, 5)), np.zeros((images, 100, 6))
    for image in range(images):
        corners = rng.integers(0, 60, (rng.integers(0, most + 1), 2))
        sizes = rng.integers(8, 40, corners.shape)
        kinds = rng.integers(1, classes + 1, len(corners))
        labels[image, : len(corners)] = np.c_[corners, corners + sizes, kinds]
        near = labels[image, : len(corners)].repeat(2, axis=0)
        near[:, :4] += rng.normal(0, 2.5, (len(near), 4))
        near = np.r_[near, [[5, 5, 40, 30, 1], [10, 10, 25, 60, 2]]]
        flat = (near[:, 2] > near[:, 0] + 1) & (near[:, 3] > near[:, 1] + 1)
        near = near[flat & (rng.random(len(near)) < 0.8)]
        place = rng.permutation(100)[: len(near)]
        scores[image, place] = np.c_[near, rng.integers(1, 20, len(near)) / 20]
    return scores, labels


def theirs(scores: Any, labels: Any) -> dict[str, float]:
    """Ask the library."""
    truth, said = [], []
    for image, rows in enumerate(labels, 1):
        for *box, kind in rows[rows[:, 4] > 0].tolist():
            one = {"id": len(truth) + 1, "image_id": image, "category_id": int(kind)}
            truth.append({**one, **told(box), "iscrowd": 0})
    for image, rows in enumerate(scores, 1):
        for *box, kind, score in rows[rows[:, 4] > 0].tolist():
            said.append({"image_id": image, "category_id": int(kind), **told(box), "score": score})
    kinds = sorted({one["category_id"] for one in truth + said})
    ours = COCO(
        {
            "images": [{"id": place + 1} for place in range(len(labels))],
            "annotations": truth,
            "categories": [{"id": kind} for kind in kinds],
        }
    )
    asked = COCOeval_faster(ours, ours.loadRes(said), "bbox", print_function=lambda *_: None)
    asked.evaluate()
    asked.accumulate()
    asked.summarize()
    return dict(zip(NAMES, (asked.stats[0], asked.stats[1], asked.stats[8]), strict=True))


def told(box: list[float]) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}


def f1(scores: Any, labels: Any) -> float:
    """Go through given boxes one by one, the surest first, each taking what it overlaps most."""
    hits = claims = 0
    for answer, truth in zip(scores, labels, strict=True):
        left = truth[truth[:, 4] > 0].tolist()
        given = sorted(answer[answer[:, 5] >= 0.5].tolist(), key=lambda one: -one[5])
        claims += len(left) + len(given)
        for one in given:
            near = [other for other in left if other[4] == one[4] and overlap(one, other) >= 0.5]
            if near:
                left.remove(max(near, key=lambda other: overlap(one, other)))
                hits += 1
    return 2 * hits / claims


def overlap(one: list[float], other: list[float]) -> float:
    sides = [min(one[2 + i], other[2 + i]) - max(one[i], other[i]) for i in (0, 1)]
    both = max(0.0, sides[0]) * max(0.0, sides[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(areas) - both)
