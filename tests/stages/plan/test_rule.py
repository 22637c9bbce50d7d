from __future__ import annotations

import dataclasses

import pytest

from instar.core.finding import Interval
from instar.core.policy import PlanPolicy
from instar.core.records import Forecast
from instar.models.strategies import Need
from instar.stages.plan.means import Means
from instar.stages.plan.probe import Probe, Reach
from instar.stages.plan.rule import Facts, NotPossible, choose
from instar.stats.bootstrap import Estimate

ALL = Means(frozenset(Need))
NOTHING = Means(frozenset())


def estimate(value, reach):
    return Estimate(value, Interval(value - reach, value + reach), reach / 2, 1000)


def probed(gain, reach, forgetting=0.0, flips=0.0):
    """A probe whose body reaches this far, and its head half as far."""
    return Probe(
        head=Reach(estimate(gain / 2, reach), forgetting, flips),
        body=Reach(estimate(gain, reach), forgetting, flips),
    )


def forecasts(gain, flips=0.0, money=0.001):
    names = ("incremental", "hybrid", "full")
    return {n: Forecast(n, gain, 0.0, flips, 1.0, 1.0, money=money) for n in names}


def decide(gain, drop=None, policy=PlanPolicy(), reach=0.002, **forecast):  # noqa: B008  # frozen
    probe = probed(gain, reach, flips=forecast.get("flips", 0.0))
    facts = Facts("", ALL, probe, drop, forecasts(gain, **forecast))
    return choose(facts, policy).strategy


STEADY, FELL, CRASHED = estimate(0.0, 0.01), estimate(0.05, 0.01), estimate(0.30, 0.05)


@pytest.mark.parametrize(
    ("gain", "drop", "strategy"),
    [
        (-0.001, STEADY, "keep"),
        (-0.001, None, "keep"),
        (0.010, STEADY, "incremental"),
        (0.010, FELL, "incremental"),
        (0.100, CRASHED, "incremental"),
    ],
)
def test_choose_follows_the_rule(gain, drop, strategy):
    assert decide(gain, drop) == strategy


def test_choose_goes_by_what_any_part_of_the_network_could_learn():
    nothing, much = Reach(estimate(-0.001, 0.002), 0, 0), Reach(estimate(0.05, 0.01), 0, 0)
    for probe in (Probe(nothing, much), Probe(much, nothing), Probe(None, much)):
        choice = choose(Facts("", ALL, probe, STEADY, forecasts(0.02)), PlanPolicy())
        assert choice.strategy == "incremental"
        assert "gains 5.0 points" in choice.reason
    none = Probe(None, nothing)
    assert choose(Facts("", ALL, none, STEADY, forecasts(0.0)), PlanPolicy()).strategy == "keep"


def test_choose_keeps_what_is_not_worth_its_price():
    dear = PlanPolicy(cost_per_flip=2.0)
    assert decide(0.01, STEADY, dear, flips=0.01) == "keep"
    assert decide(0.03, STEADY, dear, flips=0.01) == "incremental"
    assert decide(0.01, STEADY, money=5.0) == "keep"
    assert decide(0.01, FELL, money=5.0) == "keep"


def test_choose_takes_the_next_allowed_strategy():
    assert decide(0.045, FELL, PlanPolicy(strategies=("keep", "full"))) == "full"
    assert decide(-0.01, STEADY, PlanPolicy(strategies=("incremental",))) == "incremental"
    choice = choose(Facts("", ALL, None, None, {}), PlanPolicy(strategies=("keep", "hybrid")))
    assert choice.strategy == "hybrid"
    assert "not allowed" in choice.reason


def facts(means=ALL, gain=0.01, drop=FELL, changed=""):
    probe = probed(gain, 0.002)
    return Facts(changed, means, probe, drop, forecasts(gain))


def test_choose_without_old_rows_lets_the_champion_stand_in_for_them():
    assert choose(facts(NOTHING), PlanPolicy()).strategy == "incremental-blind"


def test_choose_spends_nothing_on_old_rows_that_nobody_asks_about():
    assert choose(facts(), PlanPolicy(old_served=False)).strategy == "recent"


def test_choose_grows_for_new_classes_and_refuses_without_old_rows():
    grown, lost = Means(ALL.there, ("cat",)), Means(frozenset(), ("cat",))
    assert choose(facts(grown), PlanPolicy()).strategy == "hybrid"
    choice = choose(facts(lost), PlanPolicy())
    assert choice.strategy == "keep"
    assert "cat" in choice.reason


def test_choose_refuses_a_forced_strategy_without_its_means():
    with pytest.raises(NotPossible, match="old rows"):
        choose(facts(NOTHING), PlanPolicy(strategy="warm"))


def test_choose_takes_what_is_worth_most():
    weighed = {
        "incremental": Forecast("incremental", 0.04, 0.02, 0.01, 1.0, 1.0, money=0.01),
        "warm": Forecast("warm", 0.035, 0.005, 0.01, 1.0, 1.0, money=0.05),
        "full": Forecast("full", 0.09, 0.0, 0.01, 1.0, 1.0, money=0.2),
    }
    probe = probed(0.04, 0.002, forgetting=0.02, flips=0.02)

    def chosen(policy=PlanPolicy(), **changes):  # noqa: B008  # frozen
        forecast = {n: dataclasses.replace(f, **changes.get(n, {})) for n, f in weighed.items()}
        return choose(Facts("", ALL, probe, FELL, forecast), policy).strategy

    assert chosen() == "warm"  # it forgets less
    assert chosen(warm={"money": 5.0}) == "incremental"  # it has become too dear
    assert chosen(warm={"flips": 0.4}) == "incremental"  # flips have their price
    assert chosen(PlanPolicy(strategies=("keep", "full"))) == "full"
    assert chosen(PlanPolicy(value_per_point=0.001)) == "keep"


def test_choose_weighs_what_is_forgotten_in_the_unit_of_what_is_gained():
    """An error of 0.46 that falls by half is worth more than one of 0.02 that doubles."""
    made = {"warm": Forecast("warm", 0.5, 1.0, 0.0, 1.0, 1.0)}
    facts = Facts("", ALL, probed(0.5, 0.01), CRASHED, made)
    assert choose(facts, PlanPolicy()).strategy == "keep"
    choice = choose(dataclasses.replace(facts, exchange=0.02 / 0.46), PlanPolicy())
    assert choice.strategy == "warm"
    assert "to gain 50.0, to forget 4.3" in choice.reason


def test_choose_says_how_to_name_a_head_that_is_not_found():
    means = Means(ALL.there - {Need.HEAD}, dense=("top", "body.0"))
    facts = Facts("", means, None, None, {})
    with pytest.raises(NotPossible, match=r"dense layers top, body\.0 .*`head` under `network`"):
        choose(facts, PlanPolicy(strategy="head"))


def known(rows, means=ALL, **more):
    names = ("incremental", "full", "transfer")
    made = {n: Forecast(n, 0.02 + 0.01 * (n == "transfer"), 0.0, 0.0, 1.0, 1.0) for n in names}
    probe = probed(0.02, 0.002)
    return Facts(more.pop("changed", ""), means, probe, None, made, rows)


@pytest.mark.parametrize(("rows", "strategy"), [(999, "transfer"), (1000, "incremental")])
def test_choose_weighs_pretrained_weights_where_rows_are_few(rows, strategy):
    assert choose(known(rows), PlanPolicy()).strategy == strategy
    nothing = dataclasses.replace(ALL, there=ALL.there - {Need.PRETRAINED})
    assert choose(known(rows, nothing), PlanPolicy()).strategy == "incremental"
    assert choose(known(rows), PlanPolicy(strategy="transfer")).strategy == "transfer"
    with pytest.raises(NotPossible, match=r"train\.pretrained"):
        choose(known(rows, nothing), PlanPolicy(strategy="transfer"))


def test_choose_takes_pretrained_weights_for_a_changed_network():
    changed = "the network changes"
    assert choose(known(500, changed=changed), PlanPolicy()).strategy == "transfer"
    assert choose(known(5000, changed=changed), PlanPolicy()).strategy == "full"
    assert choose(known(500, changed=changed), PlanPolicy(strategy="full")).strategy == "full"
    named = PlanPolicy(strategy="transfer")
    assert choose(known(5000, changed=changed), named).strategy == "transfer"
