"""A number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from instar.core.data import Task
from instar.tasks.form import Bools, Floats, Form, Labels, Told, Truth, WrongLabel


class Regression(Form):
    """One output, in the target's unit. It is near or far, never right or wrong."""

    metric = "mse"
    agreement = "r2"
    losses = ("mse", "mae", "huber")
    live = ("r2",)
    qualities = ("squared_error",)
    meaning = "a number in the unit of `{target}`"

    def scores(self, logits: Floats) -> Floats:
        return logits

    def shape(self, task: Task, labels: Labels) -> tuple[int, ...]:
        return (len(labels), 1)

    def decide(self, scores: Floats, task: Task) -> Labels:
        return scores[:, 0]

    def right(self, scores: Floats, labels: Labels, task: Task) -> Bools:
        return np.zeros(len(labels), bool)

    def typed(self, labels: Floats) -> Labels:
        return labels

    def parted(self, one: Floats, task: Task, other: Floats, others: Task, within: float) -> Bools:
        return np.asarray(np.abs(one[:, 0] - other[:, 0]) > within)

    def told(self, answer: Any, task: Task) -> str:
        return f"{float(answer):.4g}"

    def tensors(self, task: Task) -> list[dict[str, Any]]:
        return [{"name": "scores", "datatype": "FP32", "shape": [-1, 1]}]

    def tensor(self, name: str, scores: Floats, task: Task) -> Labels:
        return scores

    def plain(self, scores: Floats, task: Task) -> list[dict[str, Any]]:
        return [{"value": row[0]} for row in scores.tolist()]

    def truth(self, label: Told, task: Task) -> Truth:
        if isinstance(label, str | bool | list | dict) or not math.isfinite(label):
            raise WrongLabel("a finite number as label", label)
        return float(label)
