"""A class for each pixel of an image."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from instar.core.data import VOID, Task
from instar.tasks.form import Bools, Floats, Form, Labels, Told, Truth, WrongLabel, softmax


class Segmentation(Form):
    """A logit a class and pixel, (n, classes, height, width); scores are their softmax.

    Labels are masks of class places, (n, height, width); 255 is a pixel without a label. What is
    right or wrong is a pixel. Of an answer the mean probability of each class is kept.
    """

    metric = "mean_iou"
    agreement = "pixel_accuracy"
    losses = ("cross_entropy", "dice")
    live: ClassVar[tuple[str, ...]] = ()  # masks come back with the next update's data
    qualities = ("brier",)
    meaning = "a probability for each of {classes} in each pixel"
    cell = "pixels"
    least = 0.60

    def scores(self, logits: Floats) -> Floats:
        return softmax(logits)

    def shape(self, task: Task, labels: Labels) -> tuple[int, ...]:
        return (len(labels), len(task.classes), *labels.shape[1:])

    def known(self, labels: Labels) -> Bools:
        return np.asarray(labels != VOID)

    def cells(self, scores: Floats, labels: Labels) -> tuple[Floats, Labels]:
        known = self.known(labels)
        return np.moveaxis(scores, 1, -1)[known], labels[known].astype(np.int64)

    def told(self, answer: Any, task: Task) -> str:
        pixels = np.asarray(answer)
        counts = np.bincount(pixels[pixels != VOID].ravel(), minlength=len(task.classes))
        shares = sorted(zip(counts / max(1, counts.sum()), task.classes, strict=True), reverse=True)
        return ", ".join(f"{share:.0%} {name}" for share, name in shares[:3] if share) or "void"

    def kept(self, scores: Floats) -> Floats:
        return np.asarray(scores.mean(axis=(2, 3)))

    def parted(self, one: Floats, task: Task, other: Floats, others: Task, within: float) -> Bools:
        return np.asarray((np.abs(one - other) > within).any(axis=1))

    def tensors(self, task: Task) -> list[dict[str, Any]]:
        names = {"classes": ",".join(task.classes)}
        shape = [-1, len(task.classes), -1, -1]
        return [
            {"name": "scores", "datatype": "FP32", "shape": shape, "parameters": names},
            {"name": "mask", "datatype": "UINT8", "shape": [-1, -1, -1], "parameters": names},
        ]

    def tensor(self, name: str, scores: Floats, task: Task) -> Labels:
        return scores if name == "scores" else self.decide(scores, task).astype(np.uint8)

    def plain(self, scores: Floats, task: Task) -> list[dict[str, Any]]:
        """Write the mask as rows of class places, and how much of the image each class has."""
        masks = self.decide(scores, task)
        found = [(masks == place).mean(axis=(1, 2)) for place in range(len(task.classes))]
        return [
            {"mask": mask, "shares": dict(zip(task.classes, shares, strict=True))}
            for mask, shares in zip(masks.tolist(), np.stack(found, axis=1).tolist(), strict=True)
        ]

    def truth(self, label: Told, task: Task) -> Truth:
        raise WrongLabel("masks beside the images of the next update, no feedback", label)
