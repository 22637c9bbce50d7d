"""Metrics of detectors against faster-coco-eval, with ties; under weights in `test_metrics`."""

from __future__ import annotations

import numpy as np
import pytest

from instar.core.data import Task, TaskKind
from instar.stats.bootstrap import paired_bootstrap
from instar.stats.metrics import METRICS, fitting
from instar.stats.metrics.boxes import LEVELS
from instar.tasks.detection import matched
from tests.stats.metrics.coco import NAMES, drawn, theirs

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("images", [1, 7, 60])
def test_figures_are_those_of_coco(images: int) -> None:
    scores, labels = drawn(images, RNG)
    labels[0, 0] = [5, 5, 40, 30, 1]  # so that there is one object at least
    wanted = theirs(scores, labels)
    for name in NAMES:
        assert METRICS[name](scores, labels) == pytest.approx(wanted[name], abs=1e-9), name
    assert 0.1 < wanted["map"] < wanted["map50"] < 1


def test_box_takes_the_object_it_overlaps_most_of_those_left_over() -> None:
    objects = np.array([[[0, 0, 10, 10, 1], [0, 0, 10, 8, 1], [0, 0, 10, 10, 2]]], float)
    answers = np.zeros((1, 4, 6))
    answers[0, 1:] = [[0, 0, 10, 9.5, 1, 0.6], [0, 0, 10, 10, 1, 0.9], [0, 0, 10, 10, 1, 0.5]]
    assert matched(answers, objects, [0.5, 0.9]).tolist() == [[[-1, 1, 0, -1], [-1, -1, 0, -1]]]


def test_matches_do_not_hang_on_how_many_images_are_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores, labels = drawn(20, RNG)
    whole = matched(scores, labels, LEVELS.tolist())
    monkeypatch.setattr("instar.tasks.detection._CELLS", 500)
    np.testing.assert_array_equal(matched(scores, labels, LEVELS.tolist()), whole)


def test_found_and_given_objects_make_the_f1() -> None:
    labels = np.zeros((2, 100, 5))
    labels[0, :2] = [[0, 0, 10, 10, 1], [20, 20, 40, 40, 2]]
    scores = np.zeros((2, 100, 6))
    scores[0, :2] = [[0, 0, 10, 9, 1, 0.6], [20, 20, 40, 39, 2, 0.4]]
    scores[1, 0] = [0, 0, 5, 5, 2, 0.7]
    assert METRICS["object_f1"](scores, labels) == pytest.approx(2 / 4)
    task = Task(TaskKind.DETECTION, "boxes", ("a", "b"), thresholds=(0.5, 0.3))
    assert fitting(task)["object_f1"](scores, labels) == pytest.approx(4 / 5)


def test_nothing_to_find_has_no_figure() -> None:
    nothing = np.zeros((3, 100, 5))
    for name in NAMES:
        assert np.isnan(METRICS[name](np.zeros((3, 100, 6)), nothing))


def test_gain_of_better_boxes_is_bounded() -> None:
    scores, labels = drawn(80, RNG)
    blurred = scores.copy()
    there = blurred[..., 4] > 0
    blurred[there, :2] -= 2.5
    gain = paired_bootstrap(
        METRICS["map"], blurred, scores, labels, resamples=100, level=0.95, seed=0
    )
    assert 0 < gain.interval.low < gain.value < gain.interval.high
