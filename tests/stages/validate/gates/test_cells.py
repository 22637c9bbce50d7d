"""Flips, calibration and confusion of several labels a row, and of pixels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from instar.core.data import Preprocessing, Task, TaskKind
from instar.core.finding import Verdict
from instar.core.policy import FlipRule, ValidatePolicy
from instar.stages.validate.evidence import Evidence, Rows
from instar.stages.validate.gates.answers import answers
from instar.stages.validate.gates.calibration import calibration
from instar.stages.validate.gates.confusion import confusion
from instar.stages.validate.gates.flips import flips

MARKS = Task(TaskKind.MULTILABEL, classes=("a", "b"), targets=("a", "b"), thresholds=(0.5, 0.2))
MASKS = Task(TaskKind.SEGMENTATION, "mask", ("sky", "sea"))
N = 200


def evidence(task: Task, labels: Any, before: Any, now: Any) -> Evidence:
    rows = Rows(pl.DataFrame({"x": np.arange(float(len(labels)))}), labels, before, now)
    version = SimpleNamespace(preprocessing=Preprocessing())
    made = SimpleNamespace(task=task, fresh=rows, old=None, candidate=version, seed=0)
    return cast(Evidence, made)


def marks() -> Evidence:
    """Let the champion be right everywhere, and the candidate lose both labels of ten rows."""
    labels = np.tile([[1.0, 0.0], [0.0, np.nan]], (N // 2, 1))
    before = np.where(labels == 1, 0.9, 0.1)
    now = before.copy()
    now[:20:2] = 1 - before[:20:2]
    return evidence(MARKS, labels, before, now)


def masks() -> Evidence:
    """Let the candidate lose half of the pixels of a tenth of the images; one pixel is void."""
    labels = np.zeros((N, 2, 2), np.uint8)
    labels[:, 0, 0], labels[:, 1, 1] = 255, 1
    before = np.stack([labels != 1, labels == 1], axis=1) * 0.8 + 0.1
    now = before.copy()
    now[: N // 10, :, 0, 1] = before[: N // 10, ::-1, 0, 1]
    return evidence(MASKS, labels, before, now)


POLICY = ValidatePolicy(resamples=400, flips=FlipRule(max=0.05))


def test_flips_of_labels_are_counted_label_by_label() -> None:
    [found] = flips(marks(), POLICY)
    assert (found.n, found.measured) == (300, pytest.approx(20 / 300))
    assert found.verdict is Verdict.FAIL
    assert "20 lost, 0 won; in 10 rows" in found.message
    assert found.picture["rows"][0][:3] == ["a", "a", "b"]


def test_interval_of_flips_draws_rows() -> None:
    """Labels that are lost two by two tell half as much as if each were on its own."""
    [found] = flips(marks(), POLICY)
    alone = np.sqrt(20 / 300 * (1 - 20 / 300) / 300)
    width = (found.interval.high - found.interval.low) / (2 * 1.96)
    assert width > 1.2 * alone


def test_flips_of_pixels_leave_void_out() -> None:
    [found] = flips(masks(), POLICY)
    assert (found.n, found.measured) == (3 * N, pytest.approx(0.1 / 3))
    assert found.verdict is Verdict.PASS
    assert "of the pixels were right" in found.message
    assert found.picture["rows"][0][:3] == [
        "67% sky, 33% sea",
        "75% sky, 25% sea",
        "50% sky, 50% sea",
    ]


def test_cells_without_a_label_are_in_no_figure() -> None:
    for made, cell, n, right in ((marks(), "labels", 300, 280), (masks(), "pixels", 600, 580)):
        [seen] = confusion(made, POLICY)
        assert seen.message == f"{right / n:.2%} of {n} {cell} are answered rightly"
        assert np.sum(seen.picture["matrices"][1]["counts"]) == n
        assert np.trace(seen.picture["matrices"][1]["counts"]) == right
        [sure] = calibration(made, POLICY)
        assert sure.n == n


def test_pixel_without_a_finite_score_is_a_row_without_an_answer() -> None:
    made = masks()
    made.fresh.candidate[3, 0, 1, 1] = np.nan
    [found] = answers(made, POLICY)
    assert found.message.startswith("1 of 200 rows")
