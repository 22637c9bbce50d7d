"""Live quality: what one answer costs once its label is known, in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from instar.core.errors import PolicyError
from instar.core.family import Family
from instar.core.records import ModelVersion
from instar.stats.metrics import METRICS, Metric, fitting
from instar.tasks import form_of

Array = NDArray[np.float64]
_PAST = 256
Loss = Callable[[Array, Array, float], Array]


class NoRanking(PolicyError):
    """Refuse a live AUROC for a task that has not two classes."""

    code = "policy.no_ranking"

    def __init__(self, kind: str) -> None:
        super().__init__("a live quality for this task", f"auroc for a {kind} one", "use brier")


class WrongQuality(PolicyError):
    """Refuse a live quality that cannot judge the task's answers."""

    code = "policy.wrong_quality"

    def __init__(self, kind: str, name: str, fitting: Sequence[str]) -> None:
        wanted = f"a live quality for a {kind} task ({', '.join(fitting)})"
        super().__init__(wanted, name, "set release.quality")


class WrongMetric(PolicyError):
    """Refuse a metric of the window that does not fit the task."""

    code = "policy.wrong_window_metric"

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        wanted = f"a metric for a {kind} task ({', '.join(known)})"
        super().__init__(wanted, name, "set release.window_metric")


def brier(scores: Array, labels: Array, span: float) -> Array:
    """Square the error of the probabilities: of the true class's rest, or halved over classes.

    Example:
        >>> brier(np.array([[0.25, 0.75]]), np.array([1]), 1.0)
        array([0.0625])
    """
    truth = np.asarray(labels, int)[:, None] == np.arange(scores.shape[1])
    return np.asarray(((scores - truth) ** 2).sum(axis=1) / 2)


def accuracy(scores: Array, labels: Array, span: float) -> Array:
    """Count a wrong answer as 1."""
    return np.asarray(scores.argmax(axis=1) != labels, float)


def squared_error(scores: Array, labels: Array, span: float) -> Array:
    """Square the error as a part of the range that labels had in training; at most 1."""
    return np.asarray(np.minimum(((scores[:, 0] - labels) / span) ** 2, 1.0))


def auroc(scores: Array, labels: Array, span: float) -> Array:
    """Count how many of the version's last answers of the other class an answer is ranked against.

    Each answer is held against up to 256 answers of the other class that the same version gave
    before it: the share ranked wrongly, ties as half; without any, 0.5. The mean over answers is
    1 - AUROC. What an answer is held against lies in its past, so that chance alone decides
    between two versions, as with any other loss.

    Example:
        >>> auroc(np.array([[0.4, 0.6], [0.8, 0.2], [0.1, 0.9]]), np.array([1, 0, 1]), 1.0)
        array([0.5, 0. , 0. ])
    """
    score, truth = scores[:, -1], labels == 1
    losses = np.full(len(score), 0.5)
    for mine, sign in ((truth, 1.0), (~truth, -1.0)):
        others = np.concatenate([np.full(_PAST, np.nan), score[~mine]])
        before = np.cumsum(~mine)[mine]  # answers of the other class that came first
        past = np.lib.stride_tricks.sliding_window_view(others, _PAST)[before]  # (m, past)
        gap = sign * (score[mine][:, None] - past)
        wrong = np.where(np.isnan(past), 0.0, (gap < 0) + 0.5 * (gap == 0)).sum(axis=1)
        seen = np.minimum(before, _PAST)
        losses[mine] = np.where(seen > 0, wrong / np.maximum(seen, 1), 0.5)
    return losses


def label_brier(scores: Array, labels: Array, span: float) -> Array:
    """Square the error of each label's probability, averaged over the labels that are known.

    Example:
        >>> label_brier(np.array([[0.5, 0.9]]), np.array([[1.0, np.nan]]), 1.0)
        array([0.25])
    """
    known = ~np.isnan(labels)
    squares = np.where(known, (scores - labels) ** 2, 0.0).sum(axis=1)
    return np.asarray(squares / np.maximum(known.sum(axis=1), 1))


LOSSES: Family[Loss] = Family(
    "live_quality",
    {
        "brier": brier,
        "accuracy": accuracy,
        "auroc": auroc,
        "squared_error": squared_error,
        "label_brier": label_brier,
    },
)


_OURS = frozenset({"brier", "accuracy", "auroc", "squared_error", "label_brier"})


def loss_of(name: str, champion: ModelVersion) -> tuple[str, Loss, float]:
    """Find the loss that a policy names, or the task's own; with the span of the labels.

    Raises:
        UnknownName: the family has no such member.
        NoRanking: the task has no two classes to rank.
        WrongQuality: the loss is made for other answers.
    """
    form, kind = form_of(champion.task), champion.task.kind
    if name == "auroc" and name not in form.qualities:
        raise NoRanking(kind.value)
    name = form.qualities[0] if name == "auto" else name
    if name in _OURS and name not in form.qualities:
        raise WrongQuality(kind.value, name, form.qualities)
    if kind.judged:
        return name, LOSSES[name], 1.0
    target = champion.schema[champion.task.target]
    return name, LOSSES[name], ((target.high or 0.0) - (target.low or 0.0)) or 1.0


def metric_of(name: str, champion: ModelVersion) -> Metric | None:
    """Find the metric of the moving window: that which a policy names, or the first live one.

    None where production tells no labels that a metric could be measured by.

    Raises:
        UnknownName: there is no such metric.
        WrongMetric: it is made for other answers.
    """
    live, known = form_of(champion.task).live, fitting(champion.task)
    if name == "auto":
        return known[live[0]] if live else None
    if METRICS[name].name not in known:
        raise WrongMetric(champion.task.kind.value, name, list(known))
    return known[name]
