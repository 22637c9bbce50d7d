from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score

from instar.core.data import Column, Kind, Role, Schema, Task, TaskKind
from instar.core.errors import UnknownName
from instar.stages.release.losses import LOSSES, NoRanking, WrongQuality, loss_of


def draw(classes: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.dirichlet(np.ones(classes), 300), random.integers(0, classes, 300)


def test_brier_of_two_classes_equals_scikit_learn() -> None:
    scores, labels = draw(2)
    assert LOSSES["brier"](scores, labels, 1.0).mean() == pytest.approx(
        brier_score_loss(labels, scores[:, 1])
    )


def test_accuracy_loss_is_the_share_of_wrong_answers() -> None:
    scores, labels = draw(4)
    right = accuracy_score(labels, scores.argmax(axis=1))
    assert LOSSES["accuracy"](scores, labels, 1.0).mean() == pytest.approx(1 - right)


@pytest.mark.parametrize("name", ["brier", "accuracy"])
def test_losses_of_classes_lie_between_0_and_1(name: str) -> None:
    losses = LOSSES[name](*draw(5), 1.0)
    assert losses.min() >= 0
    assert losses.max() <= 1


def test_squared_error_is_a_part_of_the_span_and_at_most_1() -> None:
    losses = LOSSES["squared_error"](np.array([[3.0], [99.0]]), np.array([1.0, 0.0]), 10.0)
    assert losses.tolist() == pytest.approx([0.04, 1.0])


def test_loss_of_auto_follows_the_task(stage: Any) -> None:
    champion = stage().champion
    assert loss_of("auto", champion)[0] == "brier"
    column = Column("y", Kind.NUMBER, Role.TARGET, "Float64", low=-5.0, high=15.0)
    task = Task(TaskKind.REGRESSION, "y")
    changed = replace(champion, task=task, schema=Schema((column,)))
    assert loss_of("auto", changed)[::2] == ("squared_error", 20.0)


def test_loss_of_unknown_name_is_refused(stage: Any) -> None:
    with pytest.raises(UnknownName, match="did you mean 'brier'"):
        loss_of("briar", stage().champion)


def test_auroc_loss_is_one_minus_auroc_in_the_mean() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 4_000)
    score = np.clip(0.3 * labels + random.random(4_000) * 0.7, 0, 1)
    losses = LOSSES["auroc"](np.stack([1 - score, score], 1), labels, 1.0)
    assert losses.min() >= 0
    assert losses.max() <= 1
    assert losses.mean() == pytest.approx(1 - roc_auc_score(labels, score), abs=0.01)


def test_auroc_loss_of_an_answer_rests_on_its_past_alone() -> None:
    scores, labels = draw(2)
    whole = LOSSES["auroc"](scores, labels, 1.0)
    assert LOSSES["auroc"](scores[:100], labels[:100], 1.0).tolist() == whole[:100].tolist()


def test_auroc_of_many_classes_is_refused(stage: Any) -> None:
    champion = stage().champion
    many = replace(champion, task=replace(champion.task, kind=TaskKind.MULTICLASS))
    with pytest.raises(NoRanking):
        loss_of("auroc", many)


def test_label_brier_counts_what_is_known() -> None:
    scores = np.array([[0.5, 0.9, 0.0], [0.2, 0.2, 0.2]])
    labels = np.array([[1.0, np.nan, 1.0], [np.nan, np.nan, np.nan]])
    losses = LOSSES["label_brier"](scores, labels, 1.0)
    assert losses.tolist() == pytest.approx([(0.25 + 1.0) / 2, 0.0])


def test_loss_that_cannot_judge_the_answers_is_refused(stage: Any) -> None:
    champion = stage().champion
    several = Task(TaskKind.MULTILABEL, classes=("a", "b"), targets=("a", "b"))
    many = replace(champion, task=several)
    assert loss_of("auto", many)[0] == "label_brier"
    for name, one in (("brier", many), ("label_brier", champion)):
        with pytest.raises(WrongQuality, match="brier"):
            loss_of(name, one)
