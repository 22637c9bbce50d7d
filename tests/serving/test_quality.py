from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss

from instar.serving.observations import Observations
from instar.serving.quality import Judged, exposed


def test_two_classes_come_to_the_brier_score_and_the_accuracy() -> None:
    rng = np.random.default_rng(0)
    chances, truth = rng.random(200), rng.integers(0, 2, 200)
    seen = Judged()
    for chance, label in zip(chances.tolist(), truth.tolist(), strict=True):
        seen.add([1 - chance, chance], float(label))
    assert seen.labelled == 200
    assert seen.squared / 200 == pytest.approx(brier_score_loss(truth, chances))
    assert seen.right / 200 == accuracy_score(truth, chances > 0.5)


@pytest.mark.parametrize(
    ("scores", "label", "squared"),
    [
        ([2.5], 1.0, 2.25),
        ([0.5, 0.9, 0.1], [1.0, None, 0.0], (0.25 + 0.01) / 2),
        ([0.5], [0.0], 0.25),
    ],
)
def test_numbers_and_several_labels_are_judged_by_squares(
    scores: list[float], label: float | list[float | None], squared: float
) -> None:
    seen = Judged()
    seen.add(scores, label)
    assert (seen.labelled, seen.right, seen.squared) == (1, 0, pytest.approx(squared))


@pytest.mark.parametrize(
    ("scores", "label"), [([math.nan], 1.0), ([0.5, math.inf], 1.0), ([0.5], [None])]
)
def test_what_cannot_be_judged_is_not_counted(
    scores: list[float], label: float | list[float | None]
) -> None:
    seen = Judged()
    seen.add(scores, label)
    assert seen == Judged()


def test_label_is_judged_once_whatever_comes_after_it() -> None:
    seen = Observations()
    seen.answered("a", "v", 1, [0.0, 1.0])
    for label in (1.0, 1.0, 0.0):
        seen.label("a", label)
    seen.label("unknown", 1.0)
    assert seen.judged == {"v": Judged(1, 1, 0.0)}
    assert 'instar_right_total{model="m",version="v"} 1' in list(exposed("m", seen.judged))
