"""What a form of answers tells: the defaults are those of one class out of several a row."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from instar.core.data import Task
from instar.core.errors import InputError, UnknownName

Floats: TypeAlias = NDArray[np.floating[Any]]
Labels: TypeAlias = NDArray[Any]
Bools: TypeAlias = NDArray[np.bool_]
Told: TypeAlias = str | int | float | bool | list[str] | dict[str, int | float | bool | None]
"""A true label, as a client tells it."""
Truth: TypeAlias = float | list[float | None]
"""A true label as it is kept; None where it is not known."""


class WrongLabel(InputError):
    """Refuse a label that a task cannot have."""

    code = "request.wrong_label"

    def __init__(self, wanted: str, got: object) -> None:
        super().__init__(wanted, repr(got)[:40], "correct the label")


class Form:
    """Say what answers are, when they are right, and how they are told.

    Scores are what a bundle answers, (n, k, ...): the first axis counts rows. Labels are as
    `instar.data.preprocessing.labels` makes them. A *cell* is what is right or wrong: a row.

    `metric` decides where a policy names none; `agreement` is what two runtimes must agree by.
    `losses` fit, the first is the task's own. `live` are watched in production, `qualities`
    compare versions in a release, the first is the task's own. `meaning` is for the model card.
    `least` is the limit on the metric where a policy names none.
    """

    metric: ClassVar[str]
    agreement: ClassVar[str] = "accuracy"
    losses: ClassVar[tuple[str, ...]]
    live: ClassVar[tuple[str, ...]] = ("accuracy",)
    qualities: ClassVar[tuple[str, ...]] = ("brier", "accuracy")
    meaning: ClassVar[str]
    cell: ClassVar[str] = "rows"
    least: ClassVar[float | None] = None

    def scores(self, logits: Floats) -> Floats:
        """Turn logits (n, outputs, ...) into scores (n, k, ...), both of one dtype."""
        raise NotImplementedError

    def shape(self, task: Task, labels: Labels) -> tuple[int, ...]:
        """Give the shape of the scores of rows with these labels."""
        return (len(labels), len(task.classes))

    def outputs(self, task: Task) -> tuple[str, ...]:
        """Name what stands along the axis of scores that `apart` tells apart, (k,)."""
        return task.classes or task.columns

    def apart(self, first: Floats, second: Floats) -> Floats:
        """Say by how much two runtimes' scores of the same rows differ at most, (n, k)."""
        gaps = np.abs(first - second)
        return np.asarray(gaps.reshape(*gaps.shape[:2], -1).max(axis=2))

    def decide(self, scores: Floats, task: Task) -> Labels:
        """Turn scores into answers, in the form of labels."""
        return np.asarray(scores.argmax(axis=1))

    def known(self, labels: Labels) -> Bools:
        """Tell which cells have a label."""
        return np.ones(len(labels), bool)

    def right(self, scores: Floats, labels: Labels, task: Task) -> Bools:
        """Tell which cells are answered right; one without a label never is."""
        return np.asarray(self.known(labels) & (self.decide(scores, task) == labels))

    def cells(self, scores: Floats, labels: Labels) -> tuple[Floats, Labels]:
        """Lay out the cells that have a label as rows of a classification: (m, c) and (m,)."""
        return scores, labels

    def names(self, task: Task) -> tuple[str, ...]:
        """Name the c classes of a cell."""
        return task.classes

    def confused(self, scores: Floats, labels: Labels, task: Task) -> NDArray[np.int64]:
        """Count cells by their class (down) and the one that is answered (across), (c, c)."""
        known, size = self.known(labels), len(self.names(task))
        counts = np.zeros((size, size), np.int64)
        answers = self.decide(scores, task)[known].astype(int)
        np.add.at(counts, (labels[known].astype(int), answers), 1)
        return counts

    def outlines(self, answer: Any) -> list[tuple[float, ...]]:
        """List the boxes in one row's answer or label, x1, y1, x2, y2 in pixels, to be drawn."""
        return []

    def typed(self, labels: Floats) -> Labels:
        """Give labels that came as plain numbers the type of labels: places of classes."""
        return labels.astype(np.int64)

    def told(self, answer: Any, task: Task) -> str:
        """Write one row's answer or label, as in labels, for people."""
        return task.classes[int(answer)]

    def kept(self, scores: Floats) -> Floats:
        """Reduce answers to what is kept of them for labels that come late, (n, k)."""
        return scores

    def marked(self, scores: Floats, task: Task) -> Floats:
        """Reduce answers to what can be held against the marks that labels bear, (n, k)."""
        return self.kept(scores)

    def single(self, kept: Floats) -> Floats:
        """Reduce what is kept to one number a row, (n,), whose drift is watched."""
        return kept[:, -1]

    def parted(self, one: Floats, task: Task, other: Floats, others: Task, within: float) -> Bools:
        """Tell which rows two versions answer otherwise, (n,), by what is kept of the answers.

        Each decides by its own task, whose classes are the same. `within` is how far two numbers
        may be apart where answers are no decisions.
        """
        return np.asarray(self.decide(one, task) != self.decide(other, others))

    def tensors(self, task: Task) -> list[dict[str, Any]]:
        """List the tensors that an answer may hold, in the words of the Open Inference Protocol."""
        return [
            {"name": "scores", "datatype": "FP32", "shape": [-1, len(task.classes)]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
        ]

    def tensor(self, name: str, scores: Floats, task: Task) -> Labels:
        """Make one of those tensors."""
        if name == "scores":
            return scores
        return np.array(task.classes, object)[self.decide(scores, task)]

    def plain(self, scores: Floats, task: Task) -> list[dict[str, Any]]:
        """Write answers for people, one object a row."""
        told = self.decide(scores, task).tolist()
        return [
            {"label": task.classes[place], "scores": dict(zip(task.classes, row, strict=True))}
            for place, row in zip(told, scores.tolist(), strict=True)
        ]

    def truth(self, label: Told, task: Task) -> Truth:
        """Turn a label that a client tells into what is kept: the place of its class.

        Raises:
            UnknownName: the task has no such class.
            WrongLabel: it is no label of this kind of task.
        """
        if isinstance(label, list | dict):
            raise WrongLabel("one label", label)
        if isinstance(label, bool):
            label = str(label).lower()
        if isinstance(label, float) and label.is_integer():
            label = int(label)
        if str(label) not in task.classes:
            raise UnknownName("label", str(label)[:40], task.classes)
        return float(task.classes.index(str(label)))


def sigmoid(logits: Floats) -> Floats:
    """Turn logits into probabilities, without overflow.

    Example:
        >>> sigmoid(np.array([0.0, -1000.0])).tolist()
        [0.5, 0.0]
    """
    with np.errstate(invalid="ignore"):  # what is no number stays none
        small = np.exp(-np.abs(logits))
        return np.asarray(np.where(logits >= 0, 1, small) / (1 + small))


def softmax(logits: Floats) -> Floats:
    """Turn logits into probabilities that sum to 1 over the second axis.

    Example:
        >>> softmax(np.array([[1000.0, 1000.0]])).tolist()
        [[0.5, 0.5]]
    """
    with np.errstate(invalid="ignore"):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
