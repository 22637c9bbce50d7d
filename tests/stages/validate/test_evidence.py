from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from instar.core.data import Task, TaskKind
from instar.stages.validate.evidence import NoTestRows, _align, answer, measure
from instar.testing.bundles import TASK


def test_answer_leaves_out_rows_without_a_label(made, law):
    evidence = made()
    frame = law(20, 3).with_columns(
        answer=pl.when(pl.int_range(pl.len()) < 4).then(None).otherwise(pl.col("answer"))
    )
    found = answer(frame, TASK, evidence.champion, evidence.candidate)
    assert len(found) == found.frame.height == 16
    assert found.champion.shape == found.candidate.shape == (16, 2)


def test_answer_refuses_rows_without_any_label(made, law):
    evidence = made()
    frame = law(20, 3).with_columns(answer=pl.lit(None, pl.String))
    with pytest.raises(NoTestRows):
        answer(frame, TASK, evidence.champion, evidence.candidate)


def test_answer_keeps_rows_that_a_bundle_fails_on_as_nan(made):
    evidence = made(fails_above=0.0)
    assert np.isnan(evidence.fresh.candidate).all()
    assert np.isfinite(evidence.fresh.champion).all()


def test_scores_of_a_version_with_fewer_classes_are_put_in_the_tasks_order():
    old = Task(TaskKind.MULTICLASS, "y", ("a", "c"))
    new = Task(TaskKind.MULTICLASS, "y", ("c", "b", "a"))
    assert _align(np.array([[0.2, 0.8]]), old, new).tolist() == [[0.8, 0.0, 0.2]]


def test_measure_tells_fresh_and_old(made):
    evidence = made()
    figures = measure(evidence, "candidate")
    right = (evidence.old.candidate.argmax(axis=1) == evidence.old.labels).mean()
    assert figures["accuracy@old"] == pytest.approx(right)
    assert {"auroc", "auroc@old", "brier"} <= set(figures)
    assert "mse" not in figures
    assert not any("@old" in name for name in measure(made(old=0), "champion"))
