from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from instar.core.data import Task, TaskKind
from instar.labels.pool import NoClasses
from instar.labels.pseudo import NobodySure, answers, audit, sure
from tests.labels.test_ways import pool


def test_rows_are_sure_above_the_threshold_and_not_at_it() -> None:
    some = replace(pool(3), scores=np.array([[0.75, 0.25, 0], [0.1, 0, 0.9], [0.2, 0.8, 0]]))
    found = sure(some, 0.75)
    assert (found.rows.tolist(), found.scores.tolist()) == ([1, 2], [0.9, 0.8])
    assert answers(some, found.rows) == ["c", "b"]


def test_nobody_sure_names_the_surest() -> None:
    with pytest.raises(NobodySure) as caught:
        sure(replace(pool(1), scores=np.array([[0.5, 0.3, 0.2]])), 0.9)
    assert "none of 1; the surest is 0.5000" in str(caught.value)


def test_regression_is_never_sure() -> None:
    with pytest.raises(NoClasses):
        sure(replace(pool(), task=Task(TaskKind.REGRESSION, "load")), 0.9)


def test_audit_draws_each_row_equally_often() -> None:
    chosen = sure(pool(40), 0.34)
    drawn = [audit(chosen, 10, seed).rows for seed in range(400)]
    assert all(len(set(rows.tolist())) == 10 for rows in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=40)[chosen.rows]
    expected = 400 * 10 / len(chosen.rows)
    assert abs(counts - expected).max() < 5 * np.sqrt(expected)
    assert audit(chosen, 10, 7).rows.tolist() == audit(chosen, 10, 7).rows.tolist()
