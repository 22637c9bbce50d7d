import numpy as np
import pytest

from instar.stats.lost_agreement import lost_agreement, slopes
from instar.stats.neighbours import deviations
from instar.stats.scan import cuts

GIVEN = {"limit": 0.5, "alpha": 0.01}


def data(seed, n=8000, usual=0.15):
    """Draw scores and labels; how far labels follow scores differs from block to block."""
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    follow = np.clip(np.repeat(rng.normal(0.6, usual, n // 250), 250), 0, 1)
    y = (rng.random(n) < 0.5 + follow * (p - 0.5)) * 1.0
    return p[:, None], y[:, None]


def test_slopes_agree_with_least_squares():
    p, y = data(0, n=1000)
    slope, variance = slopes(p, y, cuts(1000, 4))
    u, v = deviations(p, 5)[250:500, 0], deviations(y, 5)[250:500, 0]
    wanted = np.linalg.lstsq(u[:, None], v, rcond=None)[0][0]
    assert slope[1] == pytest.approx(wanted)
    assert 0.02 < np.sqrt(variance[1]) < 0.2


def test_lost_agreement_alarms_are_rarer_than_promised():
    assert sum(lost_agreement(*data(seed), **GIVEN) is not None for seed in range(100)) <= 3


def test_lost_agreement_relation_that_drifts_away_is_no_alarm():
    rng = np.random.default_rng(1)
    for _ in range(20):
        p = rng.random(8000)
        follow = np.linspace(1, 0, 8000)
        y = (rng.random(8000) < 0.5 + follow * (p - 0.5)) * 1.0
        assert lost_agreement(p[:, None], y[:, None], **GIVEN) is None


@pytest.mark.parametrize("broken", ["shuffled", "swapped"])
def test_lost_agreement_names_the_block(broken):
    p, y = data(2, usual=0.05)
    block = slice(3000, 5000)
    y[block] = (
        np.random.default_rng(0).permutation(y[block]) if broken == "shuffled" else 1 - y[block]
    )
    found = lost_agreement(p, y, **GIVEN)
    assert found.first == pytest.approx(3000, abs=300)
    assert found.last == pytest.approx(5000, abs=300)
    assert (found.share > 1.5) == (broken == "swapped")
    assert 0.5 <= found.low < found.share < found.high


def test_lost_agreement_end_of_the_file_alarms_only_where_labels_contradict():
    p, y = data(3)
    end = slice(6000, 8000)
    mixed, swapped = y.copy(), y.copy()
    mixed[end] = np.random.default_rng(0).permutation(y[end])
    swapped[end] = 1 - y[end]
    assert lost_agreement(p, mixed, **GIVEN) is None
    assert lost_agreement(p, swapped, **GIVEN).last == 8000


def test_lost_agreement_scores_that_never_agreed_say_nothing():
    rng = np.random.default_rng(4)
    p, y = rng.random((4000, 1)), rng.integers(0, 2, (4000, 1)) * 1.0
    assert lost_agreement(p, y, **GIVEN) is None
    assert lost_agreement(p[:300], y[:300], **GIVEN) is None
