"""Every strategy and every method on several labels a row, on masks, and on boxes."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest

from instar.core.errors import Interrupted
from instar.core.finding import Verdict
from instar.core.policy import TrainPolicy
from instar.core.tools import Unwatched
from instar.data import preprocessing, snapshot
from instar.models import build, predict, weights
from instar.stages.train import sample, train
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
    net = build.build(line.request.network, how.spec(task), line.tools.project)
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


MORE = pytest.mark.thorough


@pytest.mark.parametrize(
    "strategy",
    [
        "incremental",
        "incremental-stable",
        pytest.param("incremental-blind", marks=MORE),
        pytest.param("recent", marks=MORE),
        pytest.param("warm", marks=MORE),
        "full",
        pytest.param("adapt-stats", marks=MORE),
    ],
)
def test_strategy_learns_boxes(shapes_line, planned, strategy):
    quick = dataclasses.replace(QUICK, epochs=5, full_epochs=14)
    training = run(shapes_line, planned(strategy), quick)
    before, after = (
        quality(shapes_line, one) for one in (shapes_line.champion.weights, training.weights)
    )
    assert training.verdict is Verdict.PASS
    assert after > (0.1 if strategy == "full" else before)
    losses = [epoch.valid_loss for epoch in training.history]
    assert strategy == "adapt-stats" or min(losses) < losses[0]
    kept = sample.stored_logits(
        dataclasses.replace(
            shapes_line.champion, replay=training.replay, replay_logits=training.replay_logits
        ),
        shapes_line.tools.artifacts,
        training.replay.rows,
    )
    assert kept is not None
    assert kept.shape == (training.replay.rows, 100, 6)


def test_methods_that_need_no_logits_work_on_boxes_and_others_add_nothing(shapes_line, planned):
    ours = tuple(name for name in METHODS if name not in ("low_rank", "pretrained"))
    policy = dataclasses.replace(QUICK, methods=ours, epochs=2)
    training = run(shapes_line, planned("incremental"), policy)
    assert np.isfinite([epoch.loss for epoch in training.history]).all()
    assert np.isfinite(quality(shapes_line, training.weights))


def test_boxes_are_learnt_to_the_same_bits_from_a_checkpoint(shapes_line, planned):
    keeping = dataclasses.replace(QUICK, epochs=3, checkpoint_s=1e-9)
    whole = run(shapes_line, planned("recent"), keeping)
    scratch = Path(tempfile.mkdtemp(dir=shapes_line.tools.scratch))
    pulse = Counting(stop_at=7)
    tools = dataclasses.replace(shapes_line.tools, scratch=scratch, pulse=pulse)
    given = (shapes_line.request, shapes_line.champion, shapes_line.admission, planned("recent"))
    with pytest.raises(Interrupted):
        train(*given, policy=keeping, tools=tools)
    again = train(*given, policy=keeping, tools=dataclasses.replace(tools, pulse=Unwatched()))
    assert again.weights == whole.weights


class Counting:
    """Tell the training to stop after so many steps."""

    def __init__(self, stop_at: int) -> None:
        self.left = stop_at

    def beat(self) -> None:
        self.left -= 1

    def stopping(self) -> bool:
        return self.left <= 0
