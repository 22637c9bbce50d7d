"""Pretrained weights: read from two formats, begun with, and reported."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import pytest
import torch

from instar.core.data import InputSpec
from instar.core.finding import Verdict
from instar.core.policy import TrainPolicy
from instar.core.records import Network, Pretrained
from instar.data import preprocessing as prepare
from instar.data import snapshot
from instar.models import build, predict, weights
from instar.models.pretrained import NothingMatches
from instar.stages.package.export import export
from instar.stages.train import train
from instar.stages.train.learnt_elsewhere import read
from tests.stages.conftest import DIGITS, digits, lay_out, train_champion

NETWORK = Network(family="mlp", options={"hidden": [32, 16]})


def run(line, plan, policy, **changes):
    scratch = Path(tempfile.mkdtemp(dir=line.tools.scratch))
    tools = dataclasses.replace(line.tools, **{"scratch": scratch, **changes})
    return train(line.request, line.champion, line.admission, plan, policy=policy, tools=tools)


def learnt(line, rows, seed=5):
    """Train a network of the line's shape on many rows, elsewhere."""
    how, task = line.champion.preprocessing, line.request.task
    torch.manual_seed(seed)
    net = build.build(NETWORK, how.inputs(task.outputs), line.tools.project)
    inputs = predict.tensors(prepare.inputs(rows, how))
    train_champion(net, inputs, prepare.labels(rows, task), task, steps=150)
    return net


def given(line, state, name="backbone.safetensors"):
    digest = line.tools.artifacts.put(weights.save(state))
    request = dataclasses.replace(
        line.request, network=NETWORK, pretrained=Pretrained(name, digest, len(state))
    )
    return dataclasses.replace(line, request=request)


@pytest.fixture
def few(tmp_path):
    """Lay out a line of real digits with few rows, and many more that are somebody else's."""
    line = lay_out(tmp_path, digits(slice(0, 100)), digits(slice(100, 400)), DIGITS, seed=1)
    return line, digits(slice(600, 1797))


def accuracy(line, training):
    frame = snapshot.load(line.admission.split.test, line.tools.artifacts)
    how, task = training.preprocessing, line.request.task
    net = build.build(line.request.network, how.inputs(task.outputs), line.tools.project)
    weights.load(net, line.tools.artifacts.read(training.weights))
    answers = predict.logits(net, prepare.inputs(frame, how)).argmax(axis=1)
    return float((answers == prepare.labels(frame, task)).mean())


def test_graph_and_safetensors_of_one_network_give_the_same_tensors():
    torch.manual_seed(0)
    spec = InputSpec(numbers=3, outputs=2)
    net = build.build(Network(family="mlp", options={"hidden": [6, 5]}), spec, Path())
    state = read(weights.save(net), "a.safetensors")
    graph = read(export(net, spec, 20).SerializeToString(), "a.onnx")
    assert set(state) <= set(graph)
    assert all(torch.equal(graph[name], tensor) for name, tensor in state.items())


def test_transfer_helps_where_rows_are_few(few, planned):
    line, many = few
    world = given(line, learnt(line, many).state_dict())
    policy = TrainPolicy(checkpoint_s=0.0, full_epochs=4)
    with_it, without = (run(world, planned(name), policy) for name in ("transfer", "full"))
    assert with_it.verdict is Verdict.PASS
    assert accuracy(world, with_it) > accuracy(world, without) + 0.1
    [found] = [one for one in with_it.findings if one.code == "pretrained"]
    assert "4 of the network's 6 tensors" in found.message
    assert "new were head.weight, head.bias" in found.message


def test_transfer_begins_with_the_tensors_and_a_new_head(few, planned):
    line, many = few
    net = learnt(line, many)
    world = given(line, net.state_dict())
    still = TrainPolicy(checkpoint_s=0.0, full_epochs=1, lr=1e-30, weight_decay=0.0)
    state = weights.read(line.tools.artifacts.read(run(world, planned("transfer"), still).weights))
    for name, tensor in net.state_dict().items():
        assert torch.equal(state[name], tensor) == (not name.startswith("head."))


def test_transfer_cut_off_and_resumed_equals_uninterrupted(few, planned, tmp_path):
    line, many = few
    world = given(line, learnt(line, many).state_dict())
    policy = TrainPolicy(checkpoint_s=0.0, full_epochs=4)
    whole = run(world, planned("transfer"), policy)
    (tmp_path / "again").mkdir()

    def killed(what, done=0, total=0, note=""):
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(world, planned("transfer"), policy, scratch=tmp_path / "again", progress=killed)
    again = run(world, planned("transfer"), policy, scratch=tmp_path / "again")
    assert again.weights == whole.weights


def test_transfer_with_a_file_of_another_network_is_one_line(few, planned):
    line, _ = few
    world = given(line, {"conv.weight": torch.zeros(3, 3)})
    with pytest.raises(NothingMatches, match=r"conv\.weight"):
        run(world, planned("transfer"), TrainPolicy())
