from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from instar.stats.betting import OutOfRange
from instar.stats.mean_sequence import mean_sequence


def test_mean_sequence_covers_the_mean_at_every_look() -> None:
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(150):
        x = (random.random(800) < 0.2).astype(float)
        missed += any(0.2 not in mean_sequence(x[:n], alpha=0.1) for n in (20, 60, 150, 400, 800))
    assert missed <= 150 * 0.1


def test_mean_sequence_is_not_much_wider_than_a_single_look() -> None:
    x = np.random.default_rng(1).beta(2, 6, 2_000)
    interval = mean_sequence(x)
    once = stats.t.interval(0.95, len(x) - 1, x.mean(), stats.sem(x))
    assert once[1] - once[0] < interval.high - interval.low < 3 * (once[1] - once[0])


def test_mean_sequence_of_nothing_knows_nothing() -> None:
    interval = mean_sequence([])
    assert (interval.low, interval.high) == (0.0, 1.0)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_mean_sequence_refuses_values_out_of_range(value: float) -> None:
    with pytest.raises(OutOfRange):
        mean_sequence([0.5, value])
