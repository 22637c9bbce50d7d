from __future__ import annotations

import numpy as np
import pytest

from instar.core.finding import Comparison, Interval
from instar.stats.comparison import compare, labels_needed


@pytest.mark.parametrize(
    ("low", "high", "margin", "answer"),
    [
        (0.001, 0.02, 0.01, Comparison.BETTER),
        (0.0, 0.02, 0.01, Comparison.NOT_WORSE),
        (-0.01, 0.02, 0.01, Comparison.NOT_WORSE),
        (-0.009, -0.001, 0.01, Comparison.NOT_WORSE),
        (-0.011, 0.02, 0.01, Comparison.CANNOT_TELL),
        (-0.02, -0.01, 0.01, Comparison.CANNOT_TELL),
        (-0.03, -0.011, 0.01, Comparison.WORSE),
        (-0.03, -0.001, 0.0, Comparison.WORSE),
        (float("-inf"), float("inf"), 0.01, Comparison.CANNOT_TELL),
    ],
)
def test_compare_answers_by_the_interval(low, high, margin, answer):
    assert compare(Interval(low, high), margin) is answer


def test_labels_needed_would_decide_four_times_in_five():
    gain, margin, n, spread = 0.0, 0.01, 1000, 0.2
    error = spread / np.sqrt(n)
    more = labels_needed(gain, error, n, margin=margin)
    assert more is not None
    then = spread / np.sqrt(n + more)
    rng = np.random.default_rng(0)
    estimates = rng.normal(gain, then, 20_000)
    decided = np.mean(estimates - 1.96 * then >= -margin)
    assert decided == pytest.approx(0.8, abs=0.01)


def test_labels_needed_is_none_where_no_number_would_do():
    assert labels_needed(-0.01, 0.01, 1000, margin=0.01) is None
    assert labels_needed(float("nan"), 0.01, 1000, margin=0.01) is None
    assert labels_needed(0.0, 0.0, 1000, margin=0.01) is None


def test_labels_needed_is_zero_where_there_are_enough():
    assert labels_needed(0.5, 0.01, 1000, margin=0.01) == 0
