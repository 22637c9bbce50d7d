"""Metrics that count right answers: accuracy, top-5, precision, recall, F1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from instar.core.data import TaskKind
from instar.stats.metrics.metric import CLASSES, Floats, Labels, Metric, mean_of, ratio

BEST = 5  # answers that top5 looks at


def _accuracy(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    return mean_of((scores.argmax(axis=1) == labels).astype(np.float64))


def _top5(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    own = scores[np.arange(len(labels)), labels]
    return mean_of(((scores > own[:, None]).sum(axis=1) < BEST).astype(np.float64))


def _counts(scores: Floats, labels: Labels) -> Callable[[Floats], tuple[Floats, Floats, Floats]]:
    """Count hits, guesses and members of each class under weights: three arrays (b, classes).

    A binary task has one class that counts, the positive one; a multiclass task averages over
    all that occur (macro average).
    """
    classes = np.array([1]) if scores.shape[1] == 2 else np.arange(scores.shape[1])
    guesses = (scores.argmax(axis=1)[:, None] == classes).astype(np.float64)
    members = (labels[:, None] == classes).astype(np.float64)
    return lambda w: (w @ (guesses * members), w @ guesses, w @ members)


def _precision(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    counts = _counts(scores, labels)

    def precision(weights: Floats) -> Floats:
        hits, guesses, members = counts(weights)
        return macro(hits, guesses, guesses + members)

    return precision


def _recall(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    counts = _counts(scores, labels)

    def recall(weights: Floats) -> Floats:
        hits, guesses, members = counts(weights)
        return macro(hits, members, guesses + members)

    return recall


def _f1(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    counts = _counts(scores, labels)

    def f1(weights: Floats) -> Floats:
        hits, guesses, members = counts(weights)
        return macro(2 * hits, guesses + members, guesses + members)

    return f1


def macro(above: Floats, below: Floats, seen: Floats) -> Floats:
    """Average a ratio over the classes that were guessed or are there; 0 / 0 counts as 0."""
    each = np.divide(above, below, out=np.zeros(above.shape), where=below != 0)
    there = seen > 0
    return ratio((each * there).sum(axis=1), there.sum(axis=1))


ACCURACY = Metric("accuracy", _accuracy, CLASSES)
TOP5 = Metric("top5", _top5, frozenset({TaskKind.MULTICLASS}))
PRECISION = Metric("precision", _precision, CLASSES)
RECALL = Metric("recall", _recall, CLASSES)
F1 = Metric("f1", _f1, CLASSES)
