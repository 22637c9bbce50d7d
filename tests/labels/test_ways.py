"""Each way to choose rows, against an independent answer."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from instar import labels
from instar.core.data import Task, TaskKind
from instar.labels import WAYS, Pool
from instar.labels.core_set import k_centre
from instar.labels.entropy import entropies
from instar.labels.margin import margins
from instar.labels.pool import NoClasses

TASK = Task(TaskKind.MULTICLASS, "kind", ("a", "b", "c"))
PARTS = {"__init__", "pool", "pseudo", "sheet"}  # what is no way


def pool(rows: int = 40, task: Task = TASK, seed: int = 0) -> Pool:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(rows, 3)) * 2
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    features = random.normal(size=(rows, 5))
    return Pool(
        task=task,
        numbers=np.arange(rows) * 2,
        scores=scores.astype(np.float32),
        features=lambda: features,
        known=lambda: features[:3] + 0.1,
    )


def test_table_names_every_file() -> None:
    files = {path.stem for path in Path(labels.__file__).parent.glob("*.py")} - PARTS
    assert files == {name.replace("-", "_") for name in WAYS}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("count", [1, 7, 40, 99])
def test_way_chooses_different_rows_and_never_more_than_there_are(name: str, count: int) -> None:
    chosen = WAYS[name](pool(), count)
    assert len(set(chosen.rows.tolist())) == len(chosen.rows) == min(count, 40)
    assert len(chosen.scores) == len(chosen.rows)
    assert np.isfinite(chosen.scores).all()


@pytest.mark.parametrize("name", WAYS)
def test_way_begins_alike_whatever_the_count(name: str) -> None:
    assert WAYS[name](pool(), 5).rows.tolist() == WAYS[name](pool(), 20).rows[:5].tolist()


def test_entropy_is_that_of_scipy_and_largest_first() -> None:
    scores = pool().scores
    assert entropies(scores) == pytest.approx(scipy_entropy(scores, axis=1), abs=1e-5)
    chosen = WAYS["entropy"](pool(), 40)
    assert (np.diff(chosen.scores) <= 0).all()
    assert entropies(np.eye(3)).tolist() == [0.0, 0.0, 0.0]


def test_margin_is_that_of_brute_force_and_smallest_first() -> None:
    scores = pool().scores.astype(np.float64)
    brute = [min(abs(max(row) - x) for x in np.delete(row, row.argmax())) for row in scores]
    assert margins(scores) == pytest.approx(brute)
    assert (np.diff(WAYS["margin"](pool(), 40).scores) >= 0).all()


@pytest.mark.parametrize("name", ["entropy", "margin"])
def test_regression_has_no_classes_to_be_unsure_of(name: str) -> None:
    with pytest.raises(NoClasses):
        WAYS[name](pool(task=Task(TaskKind.REGRESSION, "load")), 3)
    assert len(WAYS["core-set"](pool(task=Task(TaskKind.REGRESSION, "load")), 3).rows) == 3


def brute_greedy(points: np.ndarray, centres: list[np.ndarray], count: int) -> list[int]:
    chosen: list[int] = []
    for _ in range(count):
        far = [min(np.linalg.norm(p - c) for c in centres) for p in points]
        far = [-1.0 if i in chosen else d for i, d in enumerate(far)]
        chosen.append(int(np.argmax(far)))
        centres = [*centres, points[chosen[-1]]]
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_core_set_is_greedy_by_brute_force(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(30, 4))
    known = np.random.default_rng(seed + 100).normal(size=(600, 4)) * 0.3  # more than one block
    assert k_centre(points, known, 12).rows.tolist() == brute_greedy(points, list(known), 12)


@pytest.mark.parametrize("seed", range(5))
def test_core_set_leaves_at_most_twice_the_best_radius(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(12, 2))

    def radius(centres: tuple[int, ...]) -> float:
        return max(min(np.linalg.norm(p - points[c]) for c in centres) for p in points)

    found = radius(tuple(k_centre(points, np.zeros((0, 2)), 3).rows))
    best = min(radius(centres) for centres in itertools.combinations(range(12), 3))
    assert found <= 2 * best + 1e-9


def test_core_set_chooses_no_row_twice_where_all_are_alike() -> None:
    found = k_centre(np.zeros((4, 2)), np.zeros((1, 2)), 4)
    assert sorted(found.rows.tolist()) == [0, 1, 2, 3]
