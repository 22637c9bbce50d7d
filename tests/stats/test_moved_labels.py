import numpy as np
import pytest

from instar.stats.moved_labels import moved_labels

GIVEN = {"limit": 0.5, "alpha": 0.01, "seed": 0}


def data(seed, n=6000, strength=1.0):
    """Draw scores and labels; the base rate wanders along the file, as weather does."""
    rng = np.random.default_rng(seed)
    base = np.repeat(rng.normal(-0.5, 1, n // 200), 200)
    own = rng.normal(0, strength, n)
    p = 1 / (1 + np.exp(-(base + own)))
    y = (rng.random(n) < p) * 1.0
    return p[:, None], y[:, None]


def test_moved_labels_alarms_are_rarer_than_promised():
    assert sum(bool(moved_labels(*data(seed), **GIVEN)) for seed in range(100)) <= 3


def test_moved_labels_weaker_relation_is_no_alarm():
    for seed in range(30):
        p, y = data(seed)
        other, _ = data(seed + 1000)
        p[2000:4000] = 0.3 * p[2000:4000] + 0.7 * other[2000:4000]
        assert not moved_labels(p, y, **GIVEN)


@pytest.mark.parametrize("lag", [1, -1, 2, -3])
def test_moved_labels_names_block_and_lag(lag):
    p, y = data(1)
    y[2000:3500] = np.roll(y[2000:3500], lag, axis=0)
    [found] = moved_labels(p, y, **GIVEN)
    assert found.lag == lag
    assert found.first == pytest.approx(2000, abs=150)
    assert found.last == pytest.approx(3500, abs=150)
    assert 0.5 < found.low <= found.share <= found.high


def test_moved_labels_two_blocks_are_both_named():
    p, y = data(2)
    y[500:1800] = np.roll(y[500:1800], 1, axis=0)
    y[4000:5400] = np.roll(y[4000:5400], 2, axis=0)
    assert sorted(found.lag for found in moved_labels(p, y, **GIVEN)) == [1, 2]


def test_moved_labels_of_a_share_of_rows_is_estimated():
    rng = np.random.default_rng(3)
    p, y = data(3, n=20_000)
    block = slice(5000, 15_000)
    moved = np.roll(y[block], 1, axis=0)
    y[block] = np.where(rng.random((10_000, 1)) < 0.7, moved, y[block])
    found = moved_labels(p, y, limit=0.3, alpha=0.01, seed=0)[0]
    assert found.low < 0.7 < found.high
    assert found.share == pytest.approx(0.7, abs=0.1)


def test_moved_labels_swapped_classes_are_not_moved_ones():
    p, y = data(4)
    y[2000:4000] = 1 - y[2000:4000]
    assert not moved_labels(p, y, **GIVEN)


def test_moved_labels_missing_labels_do_not_disturb():
    p, y = data(5)
    y[2000:3500] = np.roll(y[2000:3500], 1, axis=0)
    y[np.random.default_rng(0).random(6000) < 0.1] = np.nan
    assert [found.lag for found in moved_labels(p, y, **GIVEN)] == [1]


def test_moved_labels_too_few_rows_say_nothing():
    p, y = data(6, n=200)
    assert moved_labels(p[:90], y[:90], **GIVEN) == []
