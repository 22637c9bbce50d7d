"""Every metric against scikit-learn or faster-coco-eval, plain and weighted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn import metrics as theirs

from instar.core.data import Task, TaskKind
from instar.core.errors import UnknownName
from instar.stats import metrics as package
from instar.stats.metrics import METRICS, fitting, primary, score
from instar.stats.metrics.metric import BadScores, chunks
from instar.testing.contracts.families import family_files, unknown_name
from tests.stats.metrics import coco

RNG = np.random.default_rng(7)


def binary(n=400):
    labels = RNG.integers(0, 2, n)
    p = np.repeat(RNG.random(n // 4), 4)  # with ties
    p = (p + labels * RNG.integers(0, 2, n)) / 2
    return np.column_stack([1 - p, p]), labels


def multiclass(n=400, k=7):
    labels = RNG.integers(0, k, n)
    logits = RNG.normal(size=(n, k)) + 1.5 * np.eye(k)[labels]
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True), labels


def regression(n=400):
    labels = RNG.normal(10, 3, n)
    return (labels + RNG.normal(0, 1, n))[:, None], labels


def multilabel(n=400, k=4):
    labels = RNG.integers(0, 2, (n, k)).astype(float)
    scores = (RNG.random((n, k)) + labels * RNG.integers(0, 2, (n, k))) / 2
    labels[RNG.random((n, k)) < 0.2] = np.nan  # not known
    return scores, labels


def masks(n=60, k=3):
    labels = RNG.choice([*range(k), 255], (n, 6, 5), p=[0.6, 0.2, 0.1, 0.1]).astype(np.uint8)
    scores = RNG.random((n, k, 6, 5))
    scores += 0.6 * (labels[:, None] == np.arange(k)[:, None, None])
    return scores / scores.sum(axis=1, keepdims=True), labels


def boxes(n=30):
    scores, labels = coco.drawn(n, RNG)
    scores[..., 5] *= RNG.uniform(0.9, 1, scores.shape[:2])  # the order of equal ones is chance
    return scores, labels


DATA = {
    TaskKind.BINARY: binary(),
    TaskKind.MULTICLASS: multiclass(),
    TaskKind.REGRESSION: regression(),
    TaskKind.MULTILABEL: multilabel(),
    TaskKind.SEGMENTATION: masks(),
    TaskKind.DETECTION: boxes(),
}


def macro(function, scores, labels, weights):
    average = "binary" if scores.shape[1] == 2 else "macro"
    return function(
        labels, scores.argmax(axis=1), average=average, sample_weight=weights, zero_division=0
    )


def brier(scores, labels, weights):
    if scores.shape[1] == 2:
        return theirs.brier_score_loss(labels, scores[:, 1], sample_weight=weights)
    return np.average(
        ((scores - np.eye(scores.shape[1])[labels]) ** 2).sum(axis=1), weights=weights
    )


def ece(scores, labels, weights):
    """Bin by bin, as the definition says."""
    two = scores.shape[1] == 2
    sure = scores[:, 1] if two else scores.max(axis=1)
    right = labels == 1 if two else scores.argmax(axis=1) == labels
    total = 0.0
    for low in np.arange(15) / 15:
        member = (sure > low) & (sure <= low + 1 / 15) | ((low == 0) & (sure == 0))
        if weights[member].sum():
            gap = np.average(sure[member], weights=weights[member])
            gap -= np.average(right[member], weights=weights[member])
            total += abs(gap) * weights[member].sum()
    return total / weights.sum()


def by_label(function, scores, labels, weights):
    """Let a binary function judge each label on the rows in which it is known, and average."""
    found = []
    for column, label in zip(scores.T, labels.T, strict=True):
        known = ~np.isnan(label)
        found.append(function(label[known], column[known], sample_weight=weights[known]))
    return np.mean(found)


def of_cells(function, scores, labels, weights, **more):
    known = ~np.isnan(labels)
    weight = np.broadcast_to(weights[:, None], labels.shape)[known]
    return function(labels[known], scores[known] >= 0.5, sample_weight=weight, **more)


def subset(scores, labels, weights):
    whole = ~np.isnan(labels).any(axis=1)
    return theirs.accuracy_score(
        labels[whole].astype(int), (scores[whole] >= 0.5).astype(int), sample_weight=weights[whole]
    )


def of_pixels(function, scores, labels, weights, **more):
    known = labels != 255
    weight = np.broadcast_to(weights[:, None, None], labels.shape)[known]
    return function(labels[known], scores.argmax(axis=1)[known], sample_weight=weight, **more)


def of_boxes(name, scores, labels, weights):
    """Ask about images that are there as often as they weigh."""
    times = weights.astype(int)
    many = scores.repeat(times, axis=0), labels.repeat(times, axis=0)
    return coco.f1(*many) if name == "object_f1" else coco.theirs(*many)[name]


ORACLES = {
    "auroc": lambda s, y, w: theirs.roc_auc_score(y, s[:, 1], sample_weight=w),
    "accuracy": lambda s, y, w: theirs.accuracy_score(y, s.argmax(axis=1), sample_weight=w),
    "top5": lambda s, y, w: theirs.top_k_accuracy_score(y, s, k=5, sample_weight=w),
    "precision": lambda s, y, w: macro(theirs.precision_score, s, y, w),
    "recall": lambda s, y, w: macro(theirs.recall_score, s, y, w),
    "f1": lambda s, y, w: macro(theirs.f1_score, s, y, w),
    "log_loss": lambda s, y, w: theirs.log_loss(y, s, sample_weight=w),
    "brier": brier,
    "ece": ece,
    "mse": lambda s, y, w: theirs.mean_squared_error(y, s[:, 0], sample_weight=w),
    "mae": lambda s, y, w: theirs.mean_absolute_error(y, s[:, 0], sample_weight=w),
    "r2": lambda s, y, w: theirs.r2_score(y, s[:, 0], sample_weight=w),
    "macro_auroc": lambda s, y, w: by_label(theirs.roc_auc_score, s, y, w),
    "macro_f1": lambda s, y, w: by_label(theirs.f1_score, s >= 0.5, y, w),
    "micro_f1": lambda s, y, w: of_cells(theirs.f1_score, s, y, w),
    "subset_accuracy": subset,
    "mean_iou": lambda s, y, w: of_pixels(theirs.jaccard_score, s, y, w, average="macro"),
    "mean_dice": lambda s, y, w: of_pixels(theirs.f1_score, s, y, w, average="macro"),
    "pixel_accuracy": lambda s, y, w: of_pixels(theirs.accuracy_score, s, y, w),
    "hamming_loss": lambda s, y, w: 1 - of_cells(theirs.accuracy_score, s, y, w),
    **{name: partial(of_boxes, name) for name in (*coco.NAMES, "object_f1")},
}
CASES = [(name, kind) for name, metric in METRICS.items() for kind in sorted(metric.kinds, key=str)]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_metric_agrees_with_a_library(name, kind):
    scores, labels = DATA[kind]
    plain = np.ones(len(labels))
    assert score(name, scores, labels) == pytest.approx(ORACLES[name](scores, labels, plain))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_metric_under_weights_agrees_with_a_library(name, kind):
    scores, labels = DATA[kind]
    weights = RNG.integers(0, 4, (3, len(labels))).astype(float)
    found = METRICS[name].prepare(scores, labels)(weights)
    expected = [ORACLES[name](scores, labels, w) for w in weights]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_metric_of_scores_that_are_not_finite_is_nan(name):
    kind = min(METRICS[name].kinds, key=str)
    scores, labels = DATA[kind]
    assert np.isnan(score(name, np.full_like(scores, np.nan), labels))


@pytest.mark.parametrize("name", METRICS)
def test_gain_is_positive_for_the_better_scores(name):
    kind = TaskKind.MULTICLASS if TaskKind.MULTICLASS in METRICS[name].kinds else None
    scores, labels = DATA[kind or next(iter(METRICS[name].kinds))]
    worse = scores[::-1]
    metric = METRICS[name]
    before, now = metric(worse, labels), metric(scores, labels)
    assert metric.gain(np.array(before), np.array(now), before) > 0
    assert metric.gain(np.array(now), np.array(before), now) < 0


def test_gain_of_a_relative_metric_is_a_share_of_the_champions():
    assert METRICS["mse"].gain(np.array(4.0), np.array(3.0), 4.0) == 0.25


def test_thresholds_of_the_task_count():
    scores, labels = np.array([[0.4, 0.4], [0.6, 0.6]]), np.array([[1.0, 0.0], [1.0, 1.0]])
    task = Task(TaskKind.MULTILABEL, classes=("a", "b"), targets=("a", "b"))
    assert fitting(task)["hamming_loss"](scores, labels) == 0.25
    moved = fitting(replace(task, thresholds=(0.3, 0.5)))
    assert moved["hamming_loss"](scores, labels) == 0.0
    assert moved["subset_accuracy"](scores, labels) == 1.0
    assert moved["macro_auroc"](scores, labels) == fitting(task)["macro_auroc"](scores, labels)


def test_macro_auroc_leaves_out_labels_that_occur_one_way():
    scores = np.array([[0.1, 0.5], [0.9, 0.5]])
    assert score("macro_auroc", scores, [[0.0, 1.0], [1.0, 1.0]]) == 1.0
    assert np.isnan(score("macro_auroc", scores, [[1.0, 1.0], [1.0, np.nan]]))


def test_auroc_of_one_class_is_undefined():
    assert np.isnan(score("auroc", [[0.5, 0.5], [0.1, 0.9]], [1, 1]))


def test_r2_of_constant_labels_is_undefined():
    assert np.isnan(score("r2", [[1.0], [2.0]], [3.0, 3.0]))


def test_primary_metric_fits_its_task():
    for kind in TaskKind:
        assert kind in METRICS[primary(kind)].kinds


@pytest.mark.parametrize(
    ("scores", "labels"),
    [([], []), ([[0.5, 0.5]], [0, 1]), ([0.5, 0.5], [0, 1]), ([[0.5, 0.5]], [[0]])],
)
def test_score_refuses_rows_that_do_not_belong_together(scores, labels):
    with pytest.raises(BadScores):
        score("accuracy", scores, labels)


def test_score_refuses_an_unknown_metric():
    with pytest.raises(UnknownName, match="auroc"):
        score("auorc", [[0.5, 0.5]], [0])


def test_chunks_cover_the_total():
    assert [sum(chunks(total, 3)) for total in (0, 1, 3, 7)] == [0, 1, 3, 7]


def test_family_knows_every_file():
    family_files(METRICS, package)
    unknown_name(METRICS)
