"""What the gates look at: both versions' answers to the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import nn

from instar.bundle.errors import PredictionFailed
from instar.bundle.runtime import ServedBundle
from instar.core.data import Task
from instar.core.errors import InputError
from instar.core.records import Bundle
from instar.data import preprocessing as prepare
from instar.data.schema.tasks import labelled
from instar.stats.metrics import fitting
from instar.tasks import form_of

Scores = NDArray[np.floating[Any]]


class NoTestRows(InputError):
    """Refuse to judge a candidate on nothing."""

    code = "input.no_test_rows"

    def __init__(self) -> None:
        super().__init__("labelled test rows", "none", "deliver more labelled rows")


@dataclass(frozen=True, slots=True)
class Rows:
    """One labelled data set, and how both versions answer it.

    `labels` (n,) are places in the task's classes, or values. `champion` and `candidate` are scores
    (n, k) in the order of those classes; a row that a version does not answer is NaN.
    """

    frame: pl.DataFrame
    labels: NDArray[Any]
    champion: Scores
    candidate: Scores

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a gate may look at.

    `fresh` are test rows of the fresh data, `old` rows of the champion's holdout; both were seen
    by neither training nor packaging. `network` builds the trained network, for checks that need
    gradients.
    """

    task: Task
    fresh: Rows
    old: Rows | None
    champion: ServedBundle
    candidate: ServedBundle
    bundle: Bundle
    network: Callable[[], nn.Module]
    seed: int


def answer(
    frame: pl.DataFrame, task: Task, champion: ServedBundle, candidate: ServedBundle
) -> Rows:
    """Let both versions answer the rows that have a label.

    Raises:
        NoTestRows: there is none.
    """
    rows = frame.filter(labelled(task))
    if rows.is_empty():
        raise NoTestRows
    labels = prepare.labels(rows, task)
    if not form_of(task).known(labels).any():  # masks of which no pixel has a label
        raise NoTestRows
    return Rows(
        frame=rows,
        labels=labels,
        champion=_scores(champion, rows, labels, task),
        candidate=_scores(candidate, rows, labels, task),
    )


def _scores(version: ServedBundle, rows: pl.DataFrame, labels: NDArray[Any], task: Task) -> Scores:
    try:
        scores = version.predict(prepare.columns(rows, version.preprocessing))
    except PredictionFailed:
        return np.full(form_of(task).shape(task, labels), np.nan)
    return _align(scores, version.task, task)


def _align(scores: Scores, own: Task, task: Task) -> Scores:
    """Put scores in the order of the task's classes; classes a version does not know get 0."""
    if own.classes == task.classes:
        return scores
    aligned = np.zeros((len(scores), len(task.classes)), scores.dtype)
    for place, name in enumerate(own.classes):
        if name in task.classes:
            aligned[:, task.classes.index(name)] = scores[:, place]
    return aligned


def measure(evidence: Evidence, who: str) -> dict[str, float]:
    """Measure every metric of the task: `auroc` on fresh rows, `auroc@old` on the old holdout.

    Args:
        evidence: Whose rows.
        who: `champion` or `candidate`.
    """
    figures: dict[str, float] = {}
    for name, metric in fitting(evidence.task).items():
        figures[name] = metric(getattr(evidence.fresh, who), evidence.fresh.labels)
        if evidence.old:
            figures[f"{name}@old"] = metric(getattr(evidence.old, who), evidence.old.labels)
    return figures
