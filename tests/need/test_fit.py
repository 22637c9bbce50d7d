"""The line through past looks: by an independent fit, and as a statistic over many worlds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from instar.core.policy import CadencePolicy
from instar.need.evidence import Fall
from instar.need.fit import _T, line, row_age


def look(days: float, drop: float, error: float) -> tuple[float, Fall]:
    return days, Fall("u0001", days, drop, error)


def test_quantiles_are_students() -> None:
    assert pytest.approx([stats.t.ppf(0.975, free) for free in range(1, 31)], abs=5e-4) == list(_T)


@pytest.mark.parametrize("jump", [0.0, 0.05], ids=["as sure as told", "scattered"])
def test_line_is_weighted_least_squares_with_its_errors(jump: float) -> None:
    random = np.random.default_rng(0)
    days, errors = random.uniform(2, 30, 8), random.uniform(0.002, 0.02, 8)
    drops = 0.001 * days + errors * random.normal(size=8) + jump * random.normal(size=8)
    looks = [look(*seen) for seen in zip(days, drops, errors, strict=True)]
    found = line(looks)
    assert found is not None
    (rate,), _, _, _ = np.linalg.lstsq((days / errors)[:, None], drops / errors, rcond=None)
    residual = drops / errors - rate * days / errors
    scale = max(1.0, float(residual @ residual) / 7)
    error = np.sqrt(scale / np.sum((days / errors) ** 2))
    assert (scale > 1) == bool(jump)
    assert found.rate == pytest.approx(rate)
    assert found.interval.high - rate == pytest.approx(stats.t.ppf(0.975, 7) * error, rel=1e-3)
    assert rate - found.interval.low == pytest.approx(found.interval.high - rate)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_looks_give_no_line(count: int) -> None:
    assert line([look(5.0, 0.01, 0.001)] * count) is None


@pytest.mark.parametrize("count", [3, 8])
def test_interval_holds_the_true_rate_as_often_as_it_says(count: int) -> None:
    random, missed, worlds = np.random.default_rng(count), 0, 1_000
    for _ in range(worlds):
        days, errors = random.uniform(3, 20, count), random.uniform(0.002, 0.01, count)
        drops = 0.001 * days + errors * random.normal(size=count)
        found = line([look(*seen) for seen in zip(days, drops, errors, strict=True)])
        assert found is not None
        missed += 0.001 not in found.interval
    assert missed / worlds < 0.05


@given(
    days=st.lists(st.floats(0.1, 100), min_size=3, max_size=25),
    rate=st.floats(0, 0.05),
    error=st.floats(1e-4, 0.1),
)
def test_line_finds_what_lies_on_one(days: list[float], rate: float, error: float) -> None:
    found = line([look(one, rate * one, error) for one in days])
    assert found is not None
    assert found.rate == pytest.approx(rate, abs=1e-9)
    assert rate in found.interval or found.rate == pytest.approx(rate)


@given(days=st.floats(0, 1_000), span=st.none() | st.floats(0, 2_000))
def test_rows_are_never_older_than_the_champion_nor_younger_than_half(
    days: float, span: float | None
) -> None:
    assert days / 2 <= row_age(days, span, CadencePolicy()) <= days
    assert row_age(days, None, CadencePolicy(fresh_days=0.0)) == days
