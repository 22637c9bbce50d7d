"""When an update pays: exact sums, the cheapest of all periods, and worlds that decay evenly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instar.core.policy import CadencePolicy, PlanPolicy, Policy
from instar.need.economics import best, period, price, staleness, worth
from instar.need.evidence import DAY, Evidence, Fall, Price

MONEY = st.floats(0.01, 1_000)


def evidence(**more: object) -> Evidence:
    return Evidence(now=10 * DAY, champion="v1", since=0.0, begun=0.0, judged=0.0, **more)  # type: ignore[arg-type]


@given(cost=MONEY, value=MONEY, rate=st.floats(1e-5, 0.5), other=st.floats(0.1, 10))
def test_no_other_period_is_cheaper(cost: float, value: float, rate: float, other: float) -> None:
    def a_day(days: float) -> float:
        return (cost + staleness(value, rate, days)) / days

    cheapest = period(cost, value, rate)
    assert a_day(cheapest) <= a_day(other * cheapest) * (1 + 1e-9)
    assert staleness(value, rate, cheapest) == pytest.approx(cost)


def test_staleness_is_the_sum_of_what_each_moment_loses() -> None:
    moments = np.linspace(0, 12, 120_001)
    assert staleness(3.0, 0.02, 12.0) == pytest.approx(np.trapezoid(3.0 * 0.02 * moments, moments))


def test_period_without_loss_is_endless_and_without_price_nothing() -> None:
    assert period(1.0, 1.0, 0.0) == math.inf
    assert period(1.0, 1.0, -0.1) == math.inf
    assert period(0.0, 1.0, 0.1) == 0


def test_price_is_that_of_computing_flips_and_people() -> None:
    past = (Price(0.2, 0.02), Price(0.4, None), Price(None, 0.04))
    policy = Policy(plan=PlanPolicy(cost_per_flip=0.5), cadence=CadencePolicy(cost_per_update=7.0))
    found = price(evidence(prices=past), policy)
    assert (found.computing, found.flips, found.people) == pytest.approx((0.3, 1.5, 7.0))
    assert found.total == pytest.approx(8.8)
    assert price(evidence(), policy).computing is None


def test_a_point_is_worth_its_value_over_the_days_that_the_policy_says() -> None:
    policy = Policy(plan=PlanPolicy(value_per_point=14.0), cadence=CadencePolicy(value_days=7.0))
    assert worth(policy) == pytest.approx(200)  # 2 a point and day, 100 points


def looks(random: np.random.Generator, rate: float, count: int) -> tuple[Fall, ...]:
    """Draw what a world that loses `rate` a day shows at some updates, on rows of that day."""
    days, errors = random.uniform(4, 20, count), random.uniform(0.002, 0.006, count)
    drops = rate * days + errors * random.normal(size=count)
    return tuple(
        Fall(f"u{i}", *map(float, seen), span=0.0)
        for i, seen in enumerate(zip(days, drops, errors, strict=True))
    )


@pytest.mark.parametrize("count", [4, 12])
def test_advised_period_is_within_its_interval_of_the_true_one(count: int) -> None:
    random, policy, rate = np.random.default_rng(count), Policy(), 0.002
    true = period(policy.cadence.cost_per_update, worth(policy), rate)
    assert true == pytest.approx(math.sqrt(2 * 1.0 / (100 / 7 * 0.002)))  # 8.4 days
    found = [best(evidence(falls=looks(random, rate, count)), policy) for _ in range(500)]
    sure = [one for one in found if one is not None]
    assert len(sure) > 450
    assert sum(true in one.interval for one in sure) > 0.95 * len(sure)
    assert np.median([one.days for one in sure]) == pytest.approx(true, rel=0.03)


def test_rows_of_the_whole_time_since_the_last_update_count_as_half_as_old() -> None:
    """Rows that came evenly over the period show half of what it lost; the true period is found."""
    random, rate, spread = np.random.default_rng(1), 0.002, []
    for days in random.uniform(6, 14, 10):
        shown = rate * float(np.mean(random.uniform(0, days, 20_000)))  # the rows' own days
        spread.append(Fall("u", float(days), shown, 0.001))
    found = best(evidence(falls=tuple(spread)), Policy())
    assert found is not None
    assert found.decay.rate == pytest.approx(rate, rel=0.02)


def test_no_decay_gives_no_period() -> None:
    assert best(evidence(), Policy()) is None
    flat = tuple(Fall("u", 10.0, drop, 0.01, 0.0) for drop in (0.01, -0.01, 0.0))
    assert best(evidence(falls=flat), Policy()) is None
    steep = looks(np.random.default_rng(2), 0.01, 6)
    assert best(evidence(falls=steep), Policy(plan=PlanPolicy(value_per_point=0.0))) is None
