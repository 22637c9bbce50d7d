import numpy as np
import pytest

from instar.stats.domain_classifier import tell_apart


def rows(rng, n, shift=0.0, *, coupled=False):
    x = rng.normal(shift, 1, n)
    y = x + rng.normal(0, 0.1, n) if coupled else rng.normal(0, np.sqrt(1.01), n)
    return np.column_stack([x, y, rng.integers(0, 5, n)])


CODED = [False, False, True]


def test_tell_apart_same_rows_give_a_half():
    rng = np.random.default_rng(0)
    found = [tell_apart(rows(rng, 400), rows(rng, 400), coded=CODED, seed=n) for n in range(20)]
    assert np.mean([told.auroc for told in found]) == pytest.approx(0.5, abs=0.03)
    assert sum(told.low <= 0.5 <= told.high for told in found) >= 17


def test_tell_apart_finds_what_no_single_column_shows():
    rng = np.random.default_rng(1)
    told = tell_apart(rows(rng, 1000), rows(rng, 1000, coupled=True), coded=CODED, seed=0)
    assert told.low > 0.75
    assert min(told.weights[:2]) > 0.1 > told.weights[2]


def test_tell_apart_missing_values_tell_too():
    rng = np.random.default_rng(2)
    fresh = rows(rng, 500)
    fresh[:, 1] = np.nan
    assert tell_apart(rows(rng, 500), fresh, coded=CODED, seed=0).auroc == 1.0


def test_tell_apart_same_seed_same_answer():
    rng = np.random.default_rng(3)
    old, fresh = rows(rng, 300), rows(rng, 300, shift=0.5)
    assert tell_apart(old, fresh, coded=CODED, seed=5) == tell_apart(
        old, fresh, coded=CODED, seed=5
    )
