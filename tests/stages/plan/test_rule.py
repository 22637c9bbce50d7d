from __future__ import annotations

import pytest

from instar.core.finding import Interval
from instar.core.policy import PlanPolicy
from instar.core.records import Forecast
from instar.stages.plan.probe import Probe
from instar.stages.plan.rule import choose
from instar.stats.bootstrap import Estimate


def estimate(value, reach):
    return Estimate(value, Interval(value - reach, value + reach), reach / 2, 1000)


def forecasts(gain, flips=0.0, money=0.001):
    names = ("incremental", "hybrid", "full")
    return {n: Forecast(n, gain, 0.0, flips, 1.0, 1.0, money=money) for n in names}


def decide(gain, drop=None, policy=PlanPolicy(), reach=0.002, **forecast):  # noqa: B008  # frozen
    probe = Probe(estimate(gain, reach), forgetting=0.0, flips=forecast.get("flips", 0.0))
    return choose("", probe, drop, forecasts(gain, **forecast), policy).strategy


STEADY, FELL, CRASHED = estimate(0.0, 0.01), estimate(0.05, 0.01), estimate(0.30, 0.05)


@pytest.mark.parametrize(
    ("gain", "drop", "strategy"),
    [
        (-0.001, STEADY, "keep"),
        (-0.001, None, "keep"),
        (0.010, STEADY, "incremental"),
        (0.010, FELL, "incremental"),
        (0.045, FELL, "hybrid"),
        (0.045, STEADY, "incremental"),
        (0.100, CRASHED, "full"),
    ],
)
def test_choose_follows_the_rule(gain, drop, strategy):
    assert decide(gain, drop) == strategy


def test_choose_keeps_what_is_not_worth_its_price():
    dear = PlanPolicy(cost_per_flip=2.0)
    assert decide(0.01, STEADY, dear, flips=0.01) == "keep"
    assert decide(0.03, STEADY, dear, flips=0.01) == "incremental"
    assert decide(0.01, STEADY, money=5.0) == "keep"
    assert decide(0.01, FELL, money=5.0) == "keep"


def test_choose_takes_the_next_allowed_strategy():
    assert decide(0.045, FELL, PlanPolicy(strategies=("keep", "full"))) == "full"
    assert decide(-0.01, STEADY, PlanPolicy(strategies=("incremental",))) == "incremental"
    choice = choose("", None, None, {}, PlanPolicy(strategies=("keep", "hybrid")))
    assert choice.strategy == "hybrid"
    assert "not allowed" in choice.reason
