"""The whole stage on a network that was really trained, packaged and sealed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl
import pytest
import torch
from torch import nn

from instar.bundle.errors import BrokenBundle
from instar.core.codec import decode, encode
from instar.core.data import Split
from instar.core.errors import IntegrityError
from instar.core.finding import Finding, Verdict
from instar.core.policy import DataSettings, FlipRule, PackagePolicy, SliceRule, ValidatePolicy
from instar.core.records import (
    Admission,
    ModelVersion,
    Network,
    Plan,
    Request,
    Training,
    Validation,
)
from instar.core.tools import Tools
from instar.data import preprocessing as prepare
from instar.data.schema import infer_schema
from instar.data.snapshot import take
from instar.models.weights import save
from instar.stages import validate as stage
from instar.stages.package import package, seal
from instar.stages.validate import validate
from instar.stages.validate.evidence import NoTestRows
from instar.testing.bundles import TASK, tiny_bundle
from instar.testing.tools import fake_tools

NETS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.table = nn.Embedding(inputs.categories[0], 2)
        self.body = nn.Sequential(nn.Linear(inputs.numbers + 2, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, numbers, categories):
        return self.body(torch.cat([numbers, self.table(categories[:, 0])], dim=1))


def build(inputs):
    return Net(inputs)
"""
POLICY = ValidatePolicy(
    resamples=200,
    flips=FlipRule(max=0.12, old_max=0.12),  # the champion is far from done, so much changes
    slices=SliceRule(columns=("region",), min_rows=100),
)


@dataclass(frozen=True)
class World:
    tools: Tools
    inputs: tuple


def trained(frame: pl.DataFrame, how, steps: int) -> nn.Module:
    scope: dict = {}
    exec(NETS, scope)
    torch.manual_seed(0)
    module = scope["build"](how.inputs(1))
    parts = [torch.tensor(part) for part in prepare.inputs(frame, how)]
    truth = torch.tensor(prepare.labels(frame, TASK)).float()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.03)
    for _ in range(steps):
        loss = nn.functional.binary_cross_entropy_with_logits(module(*parts)[:, 0], truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module.eval()


@pytest.fixture(scope="module")
def world(tmp_path_factory, law) -> World:
    tools = fake_tools(tmp_path_factory.mktemp("world"))
    (tools.project / "nets.py").write_text(NETS)
    policy = PackagePolicy(int8="never")
    old, fresh = law(1500, 11), law(2000, 12)
    schema = infer_schema(old, TASK, DataSettings(ignore=("region",)))
    how = prepare.fit(old, schema, DataSettings())
    before = trained(old[:1000], how, steps=12)
    now = trained(fresh[:1000], how, steps=60)
    snapshots = {
        name: take(rows, schema, tools.artifacts, name)
        for name, rows in (
            ("train", old[:1000]),
            ("holdout", old[1000:]),
            ("fresh", fresh),
            ("learn", fresh[:1000]),
            ("valid", fresh[1000:1300]),
            ("test", fresh[1300:]),
        )
    }
    network = Network(build="nets:build")
    bundle = seal(
        before, how, schema, TASK, "v1", old[:1000], old[1000:], tools=tools, policy=policy
    )
    champion = ModelVersion(
        "v1",
        TASK,
        network,
        schema,
        how,
        tools.artifacts.put(save(before)),
        bundle,
        (snapshots["train"],),
        (snapshots["holdout"],),
    )
    request = Request(
        "u1", "m", "weekly", "ann", snapshots["fresh"], TASK, network, how.columns, "p", 0, "v1"
    )
    split = Split(snapshots["learn"], snapshots["valid"], snapshots["test"])
    admission = Admission(Verdict.PASS, (), 2000, schema, split=split)
    training = Training(
        Verdict.PASS,
        (),
        tools.artifacts.put(save(now)),
        how,
        schema,
        (snapshots["learn"],),
        "full",
        {},
        (),
        (),
        1,
        1,
    )
    candidate = package(request, champion, admission, training, policy=policy, tools=tools)
    plan = Plan(Verdict.PASS, (), "full", "", ())
    return World(tools, (request, champion, admission, plan, training, candidate))


def test_validate_passes_a_better_candidate_gate_by_gate(world):
    found = validate(*world.inputs, policy=POLICY, tools=world.tools)
    by_code = {finding.code: finding for finding in found.findings}
    assert found.verdict is Verdict.PASS, [f for f in found.findings if f.verdict != Verdict.PASS]
    assert {
        "answers", "metrics:auroc", "forgetting", "flips:fresh", "flips:old", "slices:region",
        "suspicious:gain", "attack", "latency", "size", "parity", "calibration", "confusion",
        "figures",
    } == set(by_code)  # fmt: skip
    assert found.candidate["auroc"] > found.champion["auroc"]
    assert found.candidate["auroc@old"] > 0.7
    assert found.bundle == world.inputs[-1].manifest
    assert [snapshot.source for snapshot in found.holdout] == ["holdout", "test"]
    assert found.cost.cpu_s > 0
    assert decode(Validation, encode(found)) == found


def test_validate_repeats_itself_but_for_timings(world):
    first, again = (validate(*world.inputs, policy=POLICY, tools=world.tools) for _ in range(2))
    steady = [[f for f in v.findings if f.code != "latency"] for v in (first, again)]
    assert steady[0] == steady[1]
    assert (first.champion, first.candidate) == (again.champion, again.candidate)


def test_validate_takes_the_worst_enforced_finding(world, monkeypatch):
    def mixed(evidence, policy):
        return (
            Finding("mixed:a", Verdict.INCONCLUSIVE, "?"),
            Finding("mixed:b", Verdict.FAIL, "!", enforced=False),
        )

    monkeypatch.setattr(stage, "GATES", {**stage.GATES, "mixed": mixed})
    found = validate(*world.inputs, policy=POLICY, tools=world.tools)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_validate_turns_a_gate_that_cannot_measure_into_an_error(world, monkeypatch):
    def broken(evidence, policy):
        raise NoTestRows

    monkeypatch.setattr(stage, "GATES", {**stage.GATES, "broken": broken})
    found = validate(*world.inputs, policy=POLICY, tools=world.tools)
    assert found.verdict is Verdict.ERROR
    assert found.findings[-1].code == "broken"


def test_validate_stops_at_a_candidate_without_answers(world):
    request, champion, admission, plan, training, candidate = world.inputs
    manifest = tiny_bundle(world.tools.artifacts, nan_above=0.0)
    silent = replace(candidate, manifest=manifest)
    found = validate(
        request, champion, admission, plan, training, silent, policy=POLICY, tools=world.tools
    )
    assert found.verdict is Verdict.FAIL
    assert [finding.code for finding in found.findings] == ["answers"]
    assert found.candidate["auroc"] != found.candidate["auroc"]
    assert found.champion["auroc"] > 0.5


def test_validate_refuses_a_bundle_that_is_not_what_was_sealed(world):
    request, champion, admission, plan, training, candidate = world.inputs
    other = replace(candidate, manifest=world.tools.artifacts.put(b"{}"))
    with pytest.raises(IntegrityError):
        validate(
            request, champion, admission, plan, training, other, policy=POLICY, tools=world.tools
        )
    empty = replace(candidate, manifest=world.tools.artifacts.put(b""))
    with pytest.raises(BrokenBundle):
        validate(
            request, champion, admission, plan, training, empty, policy=POLICY, tools=world.tools
        )


def test_validate_needs_rows_that_were_admitted(world):
    request, champion, admission, plan, training, candidate = world.inputs
    refused = replace(admission, split=None)
    with pytest.raises(NoTestRows):
        validate(
            request, champion, refused, plan, training, candidate, policy=POLICY, tools=world.tools
        )


def test_validate_is_stricter_with_a_candidate_that_comes_after_refused_ones(world):
    request, champion, admission, plan, training, candidate = world.inputs
    given = (training, candidate)
    first = validate(request, champion, admission, plan, *given, policy=POLICY, tools=world.tools)
    third = replace(plan, tried=("incremental", "warm"))
    again = validate(request, champion, admission, third, *given, policy=POLICY, tools=world.tools)
    (wide, narrow) = (found.intervals["candidate"] for found in (again, first))
    assert wide.level == pytest.approx(1 - (1 - narrow.level) / 3)
    assert wide.low < narrow.low
    assert wide.high > narrow.high
