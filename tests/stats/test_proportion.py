from __future__ import annotations

import pytest
from scipy.stats import binomtest

from instar.stats.proportion import wilson


@pytest.mark.parametrize(("hits", "n", "level"), [(0, 50, 0.95), (3, 50, 0.9), (50, 50, 0.99)])
def test_wilson_agrees_with_scipy(hits, n, level):
    expected = binomtest(hits, n).proportion_ci(level, method="wilson")
    found = wilson(hits, n, level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_bounds_nothing():
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
