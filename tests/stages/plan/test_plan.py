from __future__ import annotations

import dataclasses

import polars as pl
import pytest
import torch

from instar.core.errors import InputError, NothingAdmitted, UnknownName
from instar.core.finding import Verdict
from instar.core.policy import PlanPolicy
from instar.core.records import Admission, Network
from instar.data import snapshot
from instar.models import build, weights
from instar.models.strategies import STRATEGIES
from instar.retrace import stable
from instar.stages.plan import plan
from instar.stages.plan.rule import NotAllowed

POLICY = PlanPolicy()
NO_HEAD = """
import torch
from torch import nn

class Scaled(nn.Module):
    def __init__(self, numbers):
        super().__init__()
        self.first, self.last = nn.Linear(numbers, 8), nn.Linear(8, 1)
        self.scale = nn.Parameter(torch.tensor(2.0))
    def forward(self, numbers, categories):
        return self.last(torch.relu(self.first(numbers))) * self.scale

def build(inputs):
    return Scaled(inputs.numbers)
"""


def run(world, policy=POLICY, **changes):
    world = dataclasses.replace(world, **changes)
    given = (world.request, world.champion, world.admission)
    return plan(*given, (), (), policy=policy, tools=world.tools)


def codes(record):
    return {finding.code: finding for finding in record.findings}


def test_plan_keeps_the_champion_where_nothing_changed(line):
    record = run(line(old_rows=4000, fresh_rows=4000))
    assert record.strategy == "keep"
    assert record.verdict is Verdict.FAIL
    worth = codes(record)["worth"]
    assert worth.verdict is Verdict.FAIL
    assert worth.enforced
    assert worth.passes_if
    assert "gains at most" in record.reason


@pytest.mark.parametrize("seed", range(3))
def test_plan_updates_after_drift_with_reason_and_forecasts(line, seed):
    record = run(line(turn=0.8, seed=seed))
    assert record.verdict is Verdict.PASS
    assert record.strategy in ("incremental", "hybrid", "warm")
    assert "points" in record.reason
    by_name = {f.strategy: f for f in record.forecasts}
    assert set(by_name) == set(STRATEGIES) - {"adapt-stats", "adapter", "transfer", "grow"}
    assert by_name["incremental"].gain > 0.02
    assert by_name["incremental"].cpu_s > 0
    assert by_name["incremental"].passes < 0.25 * by_name["full"].passes
    assert by_name["keep"].cpu_s == by_name["keep"].gain == 0
    assert codes(record)["probe"].interval.low > 0
    assert codes(record)["drop"].verdict is Verdict.FAIL
    assert all(f.picture for code, f in codes(record).items() if code in ("probe", "drop"))


def test_plan_looks_into_the_champion(line):
    record = run(line())
    layers = {layer.name: layer for layer in record.layers}
    assert layers["head"].parameters == 17
    assert layers["body.0"].flops == 2 * 16 * 4
    assert codes(record)["dead_units"].verdict is Verdict.PASS
    assert not codes(record)["dead_units"].enforced


def test_plan_sees_dead_units(line):
    world = line()
    state = weights.read(world.tools.artifacts.read(world.champion.weights))
    state["body.0.bias"][:10] = -100
    sick = world.tools.artifacts.put(weights.save(state))
    record = run(world, champion=dataclasses.replace(world.champion, weights=sick))
    assert codes(record)["dead_units"].verdict is Verdict.FAIL
    assert codes(record)["dead_units"].measured == pytest.approx(10 / 16, abs=0.13)
    assert record.verdict is not Verdict.ERROR


@pytest.mark.parametrize("change", ["features", "network"])
def test_plan_chooses_full_where_the_champions_weights_cannot_go_on(line, change):
    world = line()
    values = {
        "features": (*world.request.features, "leak"),
        "network": Network(family="mlp", options={"hidden": [8]}),
    }
    request = dataclasses.replace(world.request, **{change: values[change]})
    record = run(world, request=request)
    assert (record.strategy, record.verdict) == ("full", Verdict.PASS)
    assert change in record.reason
    assert {f.strategy for f in record.forecasts} == {"keep", "full"}
    with pytest.raises(NotAllowed, match=change):
        run(world, PlanPolicy(strategy="incremental"), request=request)
    with pytest.raises(NotAllowed):
        run(world, PlanPolicy(strategies=("keep", "incremental")), request=request)


def test_plan_goes_on_without_the_old_function_only_if_the_network_changes(line):
    world = line()
    gone = dataclasses.replace(world.champion, network=Network(build="old:build"))
    record = run(world, champion=gone)
    assert record.strategy == "full"
    assert record.layers == ()
    same = dataclasses.replace(world.request, network=gone.network)
    with pytest.raises(InputError, match="old:build"):
        run(world, champion=gone, request=same)


@pytest.mark.parametrize("name", ["keep", "incremental", "hybrid", "full"])
def test_plan_does_what_the_policy_names(line, name):
    record = run(line(), PlanPolicy(strategy=name))
    assert record.strategy == name
    assert record.verdict is (Verdict.FAIL if name == "keep" else Verdict.PASS)
    assert "policy" in record.reason


def test_plan_refuses_unknown_strategy_and_missing_rows(line):
    world = line()
    for policy in (PlanPolicy(strategy="incremetal"), PlanPolicy(strategies=("keep", "fu"))):
        with pytest.raises(UnknownName, match="hybrid"):
            run(world, policy)
    nothing = Admission(Verdict.FAIL, (), 0, world.champion.schema)
    with pytest.raises(NothingAdmitted):
        run(world, admission=nothing)


def test_plan_without_a_head_probes_the_body_alone(line):
    world = line()
    (world.tools.project / "nets.py").write_text(NO_HEAD)
    network = Network(build="nets:build")
    torch.manual_seed(0)
    net = build.build(network, world.champion.preprocessing.inputs(1), world.tools.project)
    champion = dataclasses.replace(
        world.champion, network=network, weights=world.tools.artifacts.put(weights.save(net))
    )
    request = dataclasses.replace(world.request, network=network)
    record = run(world, champion=champion, request=request)
    assert "head" not in codes(record)["probe"].message
    assert len(codes(record)["probe"].picture["rows"]) == 1
    assert "head" not in {one.strategy for one in record.forecasts}
    assert record.verdict is Verdict.PASS


@pytest.mark.parametrize("name", ["digits_line", "diabetes_line"])
def test_plan_works_for_other_tasks(request, name):
    record = run(request.getfixturevalue(name))
    assert record.strategy in ("keep", "incremental", "hybrid", "warm")
    assert {"probe", "drop", "worth"} <= set(codes(record))


def test_plan_is_repeatable_but_for_clock_times(line):
    world = line(turn=0.5)
    first, again = run(world), run(world)
    assert first.strategy == again.strategy
    assert stable(first.reason) == stable(again.reason)
    assert [f.gain for f in first.forecasts] == [f.gain for f in again.forecasts]


def misled(line, labels):
    """A champion whose normalisation expects other rows; of the fresh ones few have a label."""
    world = line(network=Network(family="mlp", options={"hidden": [16], "norm": "batch"}))
    tools, split = world.tools, world.admission.split
    state = weights.read(tools.artifacts.read(world.champion.weights))
    for name in [name for name in state if name.endswith("running_mean")]:
        draw = torch.Generator().manual_seed(1)
        state[name] = state[name] + 3 * torch.randn(state[name].shape, generator=draw)
    champion = dataclasses.replace(world.champion, weights=tools.artifacts.put(weights.save(state)))
    fresh = snapshot.load(split.train, tools.artifacts)
    taken = [
        snapshot.take(part, champion.schema, tools.artifacts, "fresh")
        for part in (
            fresh.head(labels),
            fresh.tail(-labels).with_columns(answer=pl.lit(None, pl.String)),
        )
    ]
    split = dataclasses.replace(split, train=taken[0], unlabelled=taken[1])
    admission = dataclasses.replace(world.admission, split=split)
    return dataclasses.replace(world, champion=champion, admission=admission)


def test_plan_audits_moved_statistics_on_labelled_rows(line):
    record = run(misled(line, 400), PlanPolicy(strategies=("keep", "adapt-stats")))
    assert record.strategy == "adapt-stats"
    assert "moved statistics" in codes(record)["probe"].message
    forecast = {one.strategy: one for one in record.forecasts}["adapt-stats"]
    assert forecast.gain > 0.005
    assert "probe of the statistics on 200 rows" in forecast.source


def test_plan_keeps_the_champion_where_moved_statistics_fail_their_audit(line):
    world = line(network=Network(family="mlp", options={"hidden": [16], "norm": "batch"}))
    record = run(world, PlanPolicy(strategies=("keep", "adapt-stats")))
    assert record.strategy == "keep"
