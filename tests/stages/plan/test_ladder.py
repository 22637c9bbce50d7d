from __future__ import annotations

import dataclasses

import pytest

from instar.core.finding import Finding, Verdict
from instar.core.policy import PlanPolicy
from instar.core.records import Forecast, Plan, Rung
from instar.core.update import next_rung
from instar.models.strategies import Need
from instar.stages.plan.ladder import REMEDIES, NoRung, climbed, ladder
from instar.stages.plan.means import Means
from instar.stages.validate.gates import GATES
from tests.service import line

ALL = Means(frozenset(Need))
PASSES = {"incremental": 0.2, "incremental-stable": 0.2, "warm": 0.25, "full": 1.0, "head": 0.01}
FORECASTS = {n: Forecast(n, 0.0, 0.0, 0.0, p, 0.0) for n, p in PASSES.items()}


def test_remedies_are_of_gates_and_strategies_that_there_are():
    assert set(REMEDIES) <= set(GATES)
    then = ladder("incremental", ALL, FORECASTS, PlanPolicy())
    assert then["flips"] == ("incremental-stable", "warm")
    assert then["forgetting"] == ("incremental-stable", "warm", "full")


@pytest.mark.parametrize(
    ("budget", "forgetting"),
    [
        (0.1, None),
        (0.45, ("incremental-stable",)),
        (0.7, ("incremental-stable", "warm")),
        (2.0, ("incremental-stable", "warm", "full")),
    ],
)
def test_ladder_stays_within_its_budget(budget, forgetting):
    then = ladder("incremental", ALL, FORECASTS, PlanPolicy(budget=budget))
    assert then.get("forgetting") == forgetting


def test_ladder_takes_only_what_is_allowed_possible_and_new():
    allowed = PlanPolicy(strategies=("keep", "incremental", "warm"))
    assert ladder("warm", ALL, FORECASTS, PlanPolicy())["flips"] == ("incremental-stable",)
    assert ladder("incremental", ALL, FORECASTS, allowed)["flips"] == ("warm",)
    assert ladder("incremental", Means(frozenset()), FORECASTS, PlanPolicy()) == {}
    assert ladder("incremental", ALL, FORECASTS, PlanPolicy(strategy="incremental")) == {}
    assert ladder("keep", ALL, FORECASTS, PlanPolicy()) == {}


def refused(plan, *codes):
    validation = next(record for record in line.MADE if type(record).__name__ == "Validation")
    training = next(record for record in line.MADE if type(record).__name__ == "Training")
    found = tuple(
        Finding(code, Verdict.FAIL, f"{code} is too high", measured=0.1) for code in codes
    )
    validation = dataclasses.replace(validation, verdict=Verdict.FAIL, findings=found)
    return Rung(plan, training, validation)


def planned(**then):
    return Plan(Verdict.PASS, (), "incremental", "", (), then=then)


def test_climbed_takes_the_first_remedy_and_tells_what_was_tried():
    rung = refused(planned(flips=("incremental-stable", "warm")), "flips:fresh")
    plan = climbed((rung,), PlanPolicy())
    assert (plan.strategy, plan.tried) == ("incremental-stable", ("incremental",))
    assert plan.then == {"flips": ("warm",)}
    assert "flips:fresh is too high" in plan.reason
    tried = next(f for f in plan.findings if f.code == "tried")
    assert tried.picture["rows"][0][0] == "incremental"
    assert tried.picture["rows"][0][4] == "flips:fresh"
    again = climbed((rung, refused(plan, "flips:old")), PlanPolicy())
    assert (again.strategy, again.tried) == ("warm", ("incremental", "incremental-stable"))
    assert again.then == {}


def test_no_rung_follows_a_refusal_that_training_would_not_mend():
    rung = refused(planned(flips=("warm",)), "flips:fresh", "latency")
    assert next_rung(rung.plan, rung.validation) is None
    with pytest.raises(NoRung):
        climbed((rung,), PlanPolicy())


def test_candidates_that_different_gates_refuse_stay_within_one_budget():
    policy = PlanPolicy(budget=1.5)
    then = ladder("incremental", ALL, FORECASTS, policy)
    assert then["metrics"] == ("warm", "full")  # 0.2 + 0.25 + 1.0
    first = Plan(Verdict.PASS, (), "incremental", "", tuple(FORECASTS.values()), then=then)
    second = climbed((refused(first, "flips:fresh"),), policy)
    assert second.strategy == "incremental-stable"
    assert second.then["metrics"] == ("warm",)  # another 1.0 would be 1.65 in all


def test_ladder_of_an_ensemble_counts_full_trainings_of_one_network():
    five = {n: dataclasses.replace(f, passes=5 * f.passes) for n, f in FORECASTS.items()}
    policy = PlanPolicy(budget=2.0)
    assert ladder("incremental", ALL, five, policy, members=5) == {
        **dict.fromkeys(("flips", "forgetting"), ("incremental-stable",)),
    }
    whole = ladder("incremental", ALL, five, PlanPolicy(budget=10.0), members=5)
    assert whole == ladder("incremental", ALL, FORECASTS, policy)
