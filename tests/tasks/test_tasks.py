"""What every kind of task must bring, in all three families."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

import instar.data.schema.tasks as targets
import instar.models.tasks as lessons
from instar import tasks
from instar.core.data import Task, TaskKind
from instar.core.errors import InputError
from instar.data.schema.tasks import TARGETS
from instar.models.tasks import LESSONS, lesson_of
from instar.stages.train.losses import LOSSES
from instar.stats.metrics import METRICS
from instar.tasks import FORMS, form_of
from instar.testing.contracts.families import family_files, unknown_name

RNG = np.random.default_rng(0)
TASKS = {
    TaskKind.BINARY: Task(TaskKind.BINARY, "y", ("no", "yes")),
    TaskKind.MULTICLASS: Task(TaskKind.MULTICLASS, "y", ("a", "b", "c")),
    TaskKind.REGRESSION: Task(TaskKind.REGRESSION, "y"),
    TaskKind.MULTILABEL: Task(
        TaskKind.MULTILABEL, classes=("a", "b", "c"), targets=("a", "b", "c")
    ),
    TaskKind.SEGMENTATION: Task(TaskKind.SEGMENTATION, "mask", ("sky", "sea", "land")),
    TaskKind.DETECTION: Task(TaskKind.DETECTION, "boxes", ("cat", "dog")),
}
LABELS: dict[TaskKind, Any] = {
    TaskKind.BINARY: np.array([0, 1, 1, 0, 1]),
    TaskKind.MULTICLASS: np.array([0, 2, 1, 1, 2]),
    TaskKind.REGRESSION: np.array([0.5, 2.0, -1.0, 0.0, 3.0], np.float32),
    TaskKind.MULTILABEL: np.array(
        [[0, 1, 1], [1, np.nan, 0], [0, 1, 0], [1, 1, 1], [np.nan, np.nan, 0]], np.float32
    ),
}
LABELS[TaskKind.SEGMENTATION] = RNG.choice([0, 0, 1, 2, 255], (5, 4, 3)).astype(np.uint8)
LABELS[TaskKind.DETECTION] = np.zeros((5, 100, 5), np.float32)
LABELS[TaskKind.DETECTION][0, :2] = [[0, 0, 9, 9, 1], [20, 0, 30, 9, 2]]
LABELS[TaskKind.DETECTION][1, 0], LABELS[TaskKind.DETECTION][3, 0] = [
    [0, 0, 9, 9, 2],
    [5, 5, 9, 9, 1],
]
ALL = pytest.mark.parametrize("kind", list(TaskKind))
BY_LOGITS = pytest.mark.parametrize("kind", [kind for kind in TaskKind if kind.teachable])


def logits_of(kind: TaskKind) -> Any:
    """Draw logits for rows with the labels above."""
    labels, task = LABELS[kind], TASKS[kind]
    if kind is TaskKind.DETECTION:
        return found_of(labels)
    shape = (len(labels), task.outputs, *(labels.shape[1:] if task.dense else ()))
    return RNG.normal(size=shape).astype(np.float32)


def found_of(labels: Any) -> Any:
    """Answer boxes near most objects, one of a wrong class, and one where nothing is."""
    found = np.zeros((*labels.shape[:2], 6), np.float32)
    found[..., :4], found[..., 4] = labels[..., :4] + 0.25, labels[..., 4]
    found[..., 5] = np.where(labels[..., 4] > 0, 0.8, 0)
    found[3, 0, 4], found[2, 7] = 2, [1, 1, 8, 8, 1, 0.6]
    return found


def test_tables_hold_every_kind_and_every_file() -> None:
    for family, package, besides in (
        (FORMS, tasks, "form"),
        (LESSONS, lessons, "lesson"),
        (TARGETS, targets, "target"),
    ):
        assert set(family) == {kind.value for kind in TaskKind}
        family_files(family, package, besides={besides})
        unknown_name(family)


@ALL
def test_form_names_metrics_and_losses_that_there_are(kind: TaskKind) -> None:
    form = form_of(kind)
    for name in (form.metric, form.agreement, *form.live):
        assert kind in METRICS[name].kinds
    assert set(form.losses) <= set(LOSSES)


def test_scores_agree_with_scipy() -> None:
    binary = logits_of(TaskKind.BINARY)
    found = form_of(TaskKind.BINARY).scores(binary)
    np.testing.assert_allclose(found, np.hstack([expit(-binary), expit(binary)]), rtol=1e-6)
    many = logits_of(TaskKind.MULTICLASS)
    found = form_of(TaskKind.MULTICLASS).scores(many)
    np.testing.assert_allclose(found, softmax(many, axis=1), rtol=1e-6)


@ALL
def test_scores_have_the_shape_that_is_told(kind: TaskKind) -> None:
    form, logits = form_of(kind), logits_of(kind)
    scores = form.scores(logits)
    assert scores.shape == form.shape(TASKS[kind], LABELS[kind])
    assert scores.dtype == np.float32
    assert form.single(form.kept(scores)).shape == (len(logits),)


@ALL
def test_bundle_and_training_agree_on_what_is_right(kind: TaskKind) -> None:
    form, lesson, labels = form_of(kind), lesson_of(kind), LABELS[kind]
    logits = logits_of(kind)
    found = form.right(form.scores(logits), labels, TASKS[kind])
    learnt = lesson.right(torch.from_numpy(logits), lesson.labels(labels))
    np.testing.assert_array_equal(found, learnt.numpy())
    assert found.any() == kind.judged
    if kind is not TaskKind.DETECTION:  # what is answered is judged there, not what there is
        assert form.cells(form.scores(logits), labels)[1].size == form.known(labels).sum()


@ALL
def test_labels_come_back_as_they_were(kind: TaskKind) -> None:
    lesson = lesson_of(kind)
    np.testing.assert_array_equal(lesson.truth(lesson.labels(LABELS[kind])), LABELS[kind])


@BY_LOGITS
def test_no_answer_is_apart_from_itself(kind: TaskKind) -> None:
    lesson, logits = lesson_of(kind), torch.from_numpy(logits_of(kind))
    np.testing.assert_allclose(lesson.apart(logits, logits, 2.0).numpy(), 0.0, atol=1e-6)
    moved = lesson.apart(logits + torch.randn_like(logits), logits, 2.0)
    assert moved.shape == (len(logits),)
    assert (moved > 0).all()


@BY_LOGITS
def test_best_constant_is_better_than_another(kind: TaskKind) -> None:
    lesson, labels = lesson_of(kind), lesson_of(kind).labels(LABELS[kind])
    best = lesson.constants(labels, TASKS[kind])[0]
    other = best + 1 + torch.arange(len(best))
    losses = [lesson.loss(lesson.spread(one, labels), labels) for one in (best, other)]
    assert losses[0] < losses[1]


@ALL
def test_loss_is_learnt_from_row_by_row(kind: TaskKind) -> None:
    """The mean over rows with equally many cells is the mean of their losses."""
    lesson, labels = lesson_of(kind), lesson_of(kind).labels(LABELS[kind])
    logits = torch.from_numpy(logits_of(kind)).requires_grad_()
    loss = lesson.loss(logits, labels)
    loss.backward()
    assert loss.shape == ()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@ALL
def test_answers_are_told_in_the_tensors_that_are_listed(kind: TaskKind) -> None:
    form, task = form_of(kind), TASKS[kind]
    scores = form.scores(logits_of(kind))
    for listed in form.tensors(task):
        made = form.tensor(listed["name"], scores, task)
        wanted = listed["shape"]
        assert made.ndim == len(wanted)
        assert all(want in (-1, got) for want, got in zip(wanted, made.shape, strict=True))
    assert len(form.plain(scores, task)) == len(scores)
    assert all(form.told(answer, task) for answer in form.decide(scores, task))


LABELLED = TASKS[TaskKind.MULTILABEL]


def test_labels_are_given_from_their_own_thresholds_on() -> None:
    task = replace(LABELLED, thresholds=(0.5, 0.3, 0.9))
    scores = np.array([[0.5, 0.29, 0.91], [0.49, 0.3, 0.89]])
    form = form_of(task)
    assert form.decide(scores, task).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert form.told(form.decide(scores, task)[0], task) == "a, c"
    assert form.plain(scores, task)[1] == {
        "labels": ["b"],
        "scores": {"a": 0.49, "b": 0.3, "c": 0.89},
    }
    made = form.tensor("decisions", scores, task)
    assert (made.dtype, made.tolist()) == (bool, [[True, False, True], [False, True, False]])


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (["c"], [0.0, 0.0, 1.0]),
        ([], [0.0, 0.0, 0.0]),
        ({"a": 1, "b": None}, [1.0, None, None]),
        ({"a": True, "c": 0}, [1.0, None, 0.0]),
    ],
)
def test_late_labels_are_names_that_hold_or_values_by_name(told: Any, kept: Any) -> None:
    assert form_of(LABELLED).truth(told, LABELLED) == kept


@pytest.mark.parametrize("told", ["a", 1, ["d"], {"d": 1}, {"a": 2}, {"a": 0.5}])
def test_late_labels_that_are_none_are_refused(told: Any) -> None:
    with pytest.raises(InputError):
        form_of(LABELLED).truth(told, LABELLED)
    with pytest.raises(InputError):
        form_of(TaskKind.BINARY).truth(["yes"], TASKS[TaskKind.BINARY])


def test_unknown_labels_move_no_weight() -> None:
    lesson = lesson_of(TaskKind.MULTILABEL)
    labels = lesson.labels(LABELS[TaskKind.MULTILABEL])
    logits = torch.randn(5, 3, requires_grad=True)
    for loss in (lesson.loss, LOSSES["bce"], LOSSES["focal"]):
        logits.grad = None
        loss(logits, labels).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        assert logits.grad is not None
        assert ((logits.grad == 0) == labels.isnan()).all()


MASKS = TASKS[TaskKind.SEGMENTATION]


def test_pixels_without_a_label_move_no_weight() -> None:
    lesson = lesson_of(TaskKind.SEGMENTATION)
    labels = lesson.labels(LABELS[TaskKind.SEGMENTATION])
    logits = torch.randn(5, 3, 4, 3, requires_grad=True)
    for loss in (lesson.loss, LOSSES["cross_entropy"], LOSSES["dice"]):
        logits.grad = None
        loss(logits, labels).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        assert logits.grad is not None
        assert ((logits.grad == 0).all(dim=1) == (labels == 255)).all()


def test_images_are_grouped_by_their_rarest_class() -> None:
    labels = torch.zeros(6, 2, 2, dtype=torch.uint8)
    labels[:3, 0, 0], labels[0, 1, 1], labels[5] = 1, 2, 255
    assert lesson_of(TaskKind.SEGMENTATION).groups(labels)[:5].tolist() == [2, 1, 1, 0, 0]


def test_masks_are_told_by_how_much_of_the_image_is_what() -> None:
    form = form_of(MASKS)
    assert form.told(np.array([[0, 0], [2, 255]]), MASKS) == "67% sky, 33% land"
    scores = np.zeros((1, 3, 2, 2), np.float32)
    scores[0, 1, 0], scores[0, 2, 1] = 1, 1
    assert form.tensor("mask", scores, MASKS).tolist() == [[[1, 1], [2, 2]]]
    assert form.plain(scores, MASKS) == [
        {"mask": [[1, 1], [2, 2]], "shares": {"sky": 0.0, "sea": 0.5, "land": 0.5}}
    ]
    with pytest.raises(InputError, match="next update"):
        form.truth("sky", MASKS)


SEEN = TASKS[TaskKind.DETECTION]


def test_objects_and_backgrounds_are_right_or_wrong() -> None:
    form, labels = form_of(SEEN), LABELS[TaskKind.DETECTION]
    right = form.right(found_of(labels), labels, SEEN)
    assert form.known(labels).sum() == 4 + 5
    assert right[0, :3].tolist() == [True, True, False]
    assert (right[1, 0], right[3, 0]) == (True, False)
    assert right[:, -1].tolist() == [True, True, False, False, True]
    strict = replace(SEEN, thresholds=(0.5, 0.9))  # no dog is given any more
    right = form.right(found_of(labels), labels, strict)
    assert right[0, :2].tolist() == [True, False]
    assert right[:, -1].tolist() == [True, True, False, True, True]


def test_claims_are_calibrated_and_classes_confused() -> None:
    form, labels = form_of(SEEN), LABELS[TaskKind.DETECTION]
    chances, hits = form.cells(found_of(labels), labels)
    np.testing.assert_allclose(chances[:, 1], [0.8, 0.8, 0.8, 0.6, 0.8], rtol=1e-6)
    assert hits.tolist() == [1, 1, 1, 0, 0]
    counts = form.confused(found_of(labels), labels, SEEN)  # cat, dog, nothing
    assert counts.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    nothing = np.zeros_like(found_of(labels))
    assert form.confused(nothing, labels, SEEN)[:, -1].tolist() == [2, 2, 0]
    assert form.cells(nothing, labels)[1].tolist() == [0]


def test_runtimes_are_apart_by_corners_scores_and_what_one_lacks() -> None:
    form, found = form_of(SEEN), found_of(LABELS[TaskKind.DETECTION])
    assert form.apart(found, found[:, ::-1]).max() == 0  # their order does not count
    moved = found.copy()
    moved[0, 0, 2] += 0.9
    moved[0, 1, 5] -= 0.1
    np.testing.assert_allclose(
        form.apart(found, moved)[0], [0, 0, 0.1, 0, 0, 0.1], rtol=0.1, atol=1e-6
    )
    lost = found.copy()
    lost[1, 0] = 0
    assert form.apart(found, lost)[1, 4] == pytest.approx(0.8 - 0.6, abs=1e-6)
    assert form.apart(lost, found)[1, 4] == pytest.approx(0.8 - 0.6, abs=1e-6)
    lost[2] = np.nan
    assert np.isnan(form.apart(found, lost)[2]).all()


def test_objects_are_told_listed_and_kept() -> None:
    form, labels = form_of(SEEN), LABELS[TaskKind.DETECTION]
    found = found_of(labels)
    assert [form.told(row, SEEN) for row in labels[:3]] == ["1 cat, 1 dog", "1 dog", "nothing"]
    assert form.outlines(labels[1]) == [(0, 0, 9, 9)]
    found[0, 1, 5], found[0, 2] = 0.9, [1, 2, 3, 4, 1, 0.4]
    [first, *_] = form.plain(found, SEEN)
    assert [(one["label"], one["box"]) for one in first["objects"]] == [
        ("dog", [20.25, 0.25, 30.25, 9.25]),
        ("cat", [0.25, 0.25, 9.25, 9.25]),
    ]
    np.testing.assert_allclose(form.kept(found)[:3, 0], [2.1, 0.8, 0.6], rtol=1e-6)
    np.testing.assert_allclose(form.marked(found, SEEN)[0], [0.8, 0.9], rtol=1e-6)
    assert form.tensor("labels", found, SEEN)[0, :3].tolist() == [1, 2, 1]
    with pytest.raises(InputError, match="next update"):
        form.truth(["cat"], SEEN)


def test_images_with_objects_are_grouped_by_their_rarest_class() -> None:
    lesson = lesson_of(TaskKind.DETECTION)
    labels = lesson.labels(LABELS[TaskKind.DETECTION])
    labels[4, 0, 4] = 1
    assert lesson.groups(labels).tolist() == [1, 1, 0, 0, 0]
