"""A network whose head is declared first: found once it is named, and never taken for another."""

from __future__ import annotations

import dataclasses

import pytest

from instar.core.policy import PlanPolicy, TrainPolicy
from instar.core.records import Network
from instar.models import weights
from instar.stages.plan import plan
from instar.stages.plan.rule import NotPossible
from instar.stages.train import train

NETS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.top = nn.Linear(16, inputs.outputs)
        self.body = nn.Sequential(nn.Linear(inputs.numbers + inputs.categories[0], 16), nn.ReLU())

    def forward(self, numbers, codes):
        eye = torch.eye(self.body[0].in_features - numbers.shape[1])
        return self.top(self.body(torch.cat([numbers, eye[codes[:, 0]]], dim=1)))


def build(inputs):
    return Net(inputs)
"""
OWN = Network(build="nets:build")


@pytest.fixture
def world(tmp_path, line):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "nets.py").write_text(NETS)
    return line(turn=1.0, network=OWN)


def asked(world, head, strategy="auto"):
    request = dataclasses.replace(world.request, network=dataclasses.replace(OWN, head=head))
    made = plan(
        request,
        world.champion,
        world.admission,
        (),
        (),
        policy=PlanPolicy(strategy=strategy, probe_rows=200),
        tools=world.tools,
    )
    return request, made


def probe(made):
    return next(one for one in made.findings if one.code == "probe")


def test_head_that_is_not_named_is_not_probed_and_has_no_strategy_of_its_own(world):
    _, made = asked(world, None)
    labels = [row["label"] for row in probe(made).picture["rows"]]
    assert labels == ["all layers, fine-tuned for a moment"]
    assert "head" not in {one.strategy for one in made.forecasts}
    with pytest.raises(NotPossible, match=r"dense layers top, body\.0"):
        asked(world, None, "head")


def test_named_head_is_probed_and_refitted_and_changes_no_network(world):
    request, made = asked(world, "top", "head")
    assert probe(made).n
    training = train(
        request, world.champion, world.admission, made, policy=TrainPolicy(), tools=world.tools
    )
    moved = {one.name for one in training.changes if one.l2}
    assert moved == {"top.weight", "top.bias"}
    assert training.network is None
    assert set(weights.read(world.tools.artifacts.read(training.weights))) >= moved
