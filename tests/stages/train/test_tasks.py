"""Every strategy and every method on several labels a row, and on masks."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest

from instar.core.finding import Verdict
from instar.core.policy import TrainPolicy
from instar.data import preprocessing, snapshot
from instar.models import build, predict, weights
from instar.stages.train import train
from instar.stages.train.methods import METHODS
from instar.stages.train.methods.low_rank import NothingLinear
from instar.stats.metrics import deciding

LINES = pytest.mark.parametrize("name", ["marks_line", "strokes_line"])
QUICK = TrainPolicy(checkpoint_s=0.0, lr=0.02, batch=32, epochs=12, full_epochs=24)


@pytest.fixture
def world(request, name):
    return request.getfixturevalue(name)


def run(line, plan, policy=QUICK):
    scratch = Path(tempfile.mkdtemp(dir=line.tools.scratch))
    tools = dataclasses.replace(line.tools, scratch=scratch)
    return train(line.request, line.champion, line.admission, plan, policy=policy, tools=tools)


def quality(line, digest):
    """Score weights on the fresh test rows."""
    task, how = line.champion.task, line.champion.preprocessing
    frame = snapshot.load(line.admission.split.test, line.tools.artifacts)
    inputs = how.inputs(task.outputs, dense=task.dense)
    net = build.build(line.request.network, inputs, line.tools.project)
    weights.load(net, line.tools.artifacts.read(digest))
    scores = predict.probabilities(predict.logits(net, preprocessing.inputs(frame, how)), task)
    return deciding(task)(scores, preprocessing.labels(frame, task))


@LINES
@pytest.mark.parametrize(
    "strategy",
    ["head", "incremental", "incremental-stable", "incremental-blind", "recent", "warm", "full"],
)
def test_strategy_learns_the_fresh_rows(world, planned, strategy):
    training = run(world, planned(strategy))
    assert training.verdict is Verdict.PASS
    before, after = (quality(world, one) for one in (world.champion.weights, training.weights))
    assert after > before - 0.01 or strategy == "full"  # a few epochs from nothing
    assert after > 0.5
    if strategy in ("incremental", "warm"):
        assert after > before


@LINES
@pytest.mark.parametrize("method", sorted(METHODS))
def test_method_works(world, planned, method):
    policy = dataclasses.replace(QUICK, methods=(method,), epochs=2)
    if method == "low_rank" and world.champion.task.dense:
        with pytest.raises(NothingLinear):  # its network is made of convolutions
            run(world, planned("incremental"), policy)
        return
    training = run(world, planned("incremental"), policy)
    assert np.isfinite([epoch.loss for epoch in training.history]).all()
    assert np.isfinite(quality(world, training.weights))


@LINES
def test_loss_of_the_family_is_learnt_from(world, planned):
    loss = "dice" if world.champion.task.dense else "focal"
    training = run(world, planned("warm"), dataclasses.replace(QUICK, loss=loss))
    assert training.history[-1].valid_loss < training.history[0].valid_loss
