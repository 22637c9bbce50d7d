from __future__ import annotations

import numpy as np
import pytest

from instar.stats.betting import wealth
from instar.stats.shifted_mean import Scored, shifted_mean


def counted(scores: np.ndarray) -> tuple[int, ...]:
    return tuple(np.histogram(scores, 20, (0, 1))[0].tolist())


def test_interval_holds_the_true_difference_at_every_look() -> None:
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(100):
        arms = random.random(4_000) < 0.2
        scores = np.where(arms, random.beta(2.4, 2, 4_000), random.beta(2, 2, 4_000))
        truth = 2.4 / 4.4 - 0.5
        looks = []
        for n in range(200, 4_001, 400):
            new, old = scores[:n][arms[:n]], scores[:n][~arms[:n]]
            looks.append(shifted_mean([Scored(0.2, counted(old), counted(new))]))
        missed += not all(interval.low <= truth <= interval.high for _, interval in looks)
    assert missed <= 5


def test_equal_scores_under_shares_that_differ_show_nothing() -> None:
    # In the evening everybody scores higher, and the candidate has a larger share.
    splits = [Scored(0.1, (900, 0), (100, 0)), Scored(0.5, (0, 500), (0, 500))]
    value, interval = shifted_mean(splits)
    assert value == pytest.approx(0.0)
    assert interval.low < 0 < interval.high


def test_more_answers_narrow_the_interval_around_the_difference() -> None:
    widths = []
    for n in (100, 10_000):
        value, interval = shifted_mean([Scored(0.5, (n, n), (n // 2, 3 * n // 2))])
        assert value == pytest.approx(0.125)
        widths.append(interval.high - interval.low)
    assert widths[1] < widths[0] / 4


def test_counts_bet_as_their_values_do_one_by_one() -> None:
    values, counts = np.array([0.3, -0.2, 0.1]), np.array([5, 7, 2])
    assert wealth(values, counts) == pytest.approx(float(wealth(np.repeat(values, counts))))


def test_nothing_says_nothing() -> None:
    assert shifted_mean([])[1].low == -1
