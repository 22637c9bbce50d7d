"""Several labels that each hold or do not hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from instar.core.data import Task
from instar.core.errors import UnknownName
from instar.tasks.form import Bools, Floats, Form, Labels, Told, Truth, WrongLabel, sigmoid

HALF = 0.5  # where the task names no thresholds


class Multilabel(Form):
    """A logit a label; scores are probabilities, each on its own. NaN is a label not known.

    A label is given where its probability reaches its threshold. What is right or wrong is each
    label of each row.
    """

    metric = "macro_auroc"
    agreement = "hamming_loss"
    losses = ("bce", "focal")
    live = ("micro_f1", "macro_auroc")
    qualities = ("label_brier",)
    meaning = "a probability for each of {classes}, each on its own"
    cell = "labels"

    def scores(self, logits: Floats) -> Floats:
        return sigmoid(logits)

    def decide(self, scores: Floats, task: Task) -> Labels:
        return np.asarray(scores >= (task.thresholds or HALF), np.float64)

    def known(self, labels: Labels) -> Bools:
        return ~np.isnan(labels)

    def cells(self, scores: Floats, labels: Labels) -> tuple[Floats, Labels]:
        known = self.known(labels)
        chance = scores[known]
        return np.stack([1 - chance, chance], axis=1), labels[known].astype(np.int64)

    def names(self, task: Task) -> tuple[str, ...]:
        return ("no", "yes")

    def told(self, answer: Any, task: Task) -> str:
        pairs = zip(task.classes, np.asarray(answer, float).tolist(), strict=True)
        marked = [name if value == 1 else f"{name}?" for name, value in pairs if value != 0]
        return ", ".join(marked) or "none"

    def parted(self, one: Floats, task: Task, other: Floats, others: Task, within: float) -> Bools:
        return np.asarray((self.decide(one, task) != self.decide(other, others)).any(axis=1))

    def typed(self, labels: Floats) -> Labels:
        return labels

    def single(self, kept: Floats) -> Floats:
        return np.asarray(kept.mean(axis=1))

    def tensors(self, task: Task) -> list[dict[str, Any]]:
        shape, names = [-1, len(task.classes)], {"labels": ",".join(task.classes)}
        return [
            {"name": "scores", "datatype": "FP32", "shape": shape, "parameters": names},
            {"name": "decisions", "datatype": "BOOL", "shape": shape, "parameters": names},
        ]

    def tensor(self, name: str, scores: Floats, task: Task) -> Labels:
        return scores if name == "scores" else self.decide(scores, task) == 1

    def plain(self, scores: Floats, task: Task) -> list[dict[str, Any]]:
        told = self.decide(scores, task) == 1
        return [
            {
                "labels": [name for name, given in zip(task.classes, row, strict=True) if given],
                "scores": dict(zip(task.classes, values, strict=True)),
            }
            for row, values in zip(told.tolist(), scores.tolist(), strict=True)
        ]

    def truth(self, label: Told, task: Task) -> Truth:
        """Read the names of the labels that hold, or say 1, 0 or null of some by name."""
        if not isinstance(label, list | dict):
            raise WrongLabel("a list of the labels that hold, or an object of labels", label)
        for name in label:
            if name not in task.classes:
                raise UnknownName("label", str(name)[:40], task.classes)
        if isinstance(label, list):
            return [float(name in label) for name in task.classes]
        if wrong := [value for value in label.values() if value not in (0, 1, None)]:
            raise WrongLabel("1, 0 or null for each label", wrong[0])
        told = [label.get(name) for name in task.classes]
        return [None if value is None else float(value) for value in told]
