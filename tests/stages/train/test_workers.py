"""Two processes at one training, for real: torch.distributed with gloo."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
from types import SimpleNamespace

import pytest
import torch

from instar.core.errors import Interrupted
from instar.core.finding import Verdict
from instar.core.policy import TrainPolicy
from instar.core.records import Network
from instar.core.tools import WorkerLost
from instar.engines.local import Local
from instar.models import weights
from instar.stages.train.workers import members
from tests.stages.train.test_train import run

ALONE = TrainPolicy(checkpoint_s=0.0, epochs=3, batch=64)
TWO = dataclasses.replace(ALONE, workers=2)


@pytest.fixture
def world(line):
    made = line(turn=1.0, fresh_rows=500, old_rows=600)
    return dataclasses.replace(made, tools=dataclasses.replace(made.tools, engine=Local()))


def state(world, training):
    return weights.read(world.tools.artifacts.read(training.weights))


def close(world, one, other):
    for mine, theirs in zip(state(world, one).values(), state(world, other).values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("place", "fit", "count"), [("cpu", "steps", 2), ("meta", "steps", 1), ("cpu", "head", 1)]
)
def test_card_is_used_by_one_process_alone(place, fit, count):
    device = SimpleNamespace(place=torch.device(place))
    asked = SimpleNamespace(
        route=SimpleNamespace(fit=fit), compute=SimpleNamespace(device=device), policy=TWO
    )
    assert members(asked) == count


def test_two_processes_come_to_the_weights_of_one(world, planned):
    """Distillation, replay, focal, an average of the weights: all that hangs on a batch's rows."""
    policy = {"methods": ("average", "l2sp")}
    alone = run(world, planned("incremental-stable"), dataclasses.replace(ALONE, **policy))
    two = run(world, planned("incremental-stable"), dataclasses.replace(TWO, **policy))
    close(world, alone, two)
    assert alone.weights != two.weights  # sums in another order: it was not one process
    assert (two.steps, two.passes, two.verdict) == (alone.steps, alone.passes, Verdict.PASS)
    pairs = zip(alone.history, two.history, strict=True)
    assert all(mine.loss == pytest.approx(other.loss, rel=1e-3) for mine, other in pairs)
    assert two.cost.cpu_s > alone.cost.cpu_s  # the other process's seconds are counted


DROPS = Network(family="mlp", options={"hidden": [16], "dropout": 0.2, "norm": "batch"})


def test_killed_worker_ends_the_training_with_a_word_and_it_goes_on_bit_for_bit(
    line, planned, tmp_path
):
    made = line(turn=1.0, fresh_rows=500, old_rows=600, network=DROPS)
    world = dataclasses.replace(made, tools=dataclasses.replace(made.tools, engine=Local()))
    policy = dataclasses.replace(TWO, stream="always")
    whole = run(world, planned("incremental"), policy)
    (tmp_path / "cut").mkdir()

    def kill(what, done=0, total=0, note=""):
        if done == 2:
            [worker] = multiprocessing.active_children()
            os.kill(worker.pid, signal.SIGKILL)

    with pytest.raises(WorkerLost, match="worker 1 of 1") as caught:
        run(world, planned("incremental"), policy, scratch=tmp_path / "cut", progress=kill)
    assert "SIGKILL" in caught.value.got
    assert caught.value.retryable  # so the runner goes on by itself, from the checkpoint
    assert multiprocessing.active_children() == []
    seen = []
    resumed = run(
        world,
        planned("incremental"),
        policy,
        scratch=tmp_path / "cut",
        progress=lambda what, done=0, total=0, note="": seen.append(done),
    )
    assert seen == [3]
    assert (resumed.weights, resumed.history) == (whole.weights, whole.history)


def test_worker_without_memory_makes_all_begin_again_with_half_the_batch(world, planned):
    (world.tools.project / "own.py").write_text(
        "import torch\n"
        "from multiprocessing import current_process\n"
        "def loss(out, labels):\n"
        "    if out.requires_grad and len(out) > 20 and current_process().name != 'MainProcess':\n"
        "        raise MemoryError\n"
        "    return torch.nn.functional.binary_cross_entropy_with_logits(out, labels)\n"
    )
    policy = dataclasses.replace(TWO, loss="own:loss", batch=64, replay_ratio=0.0)
    training = run(world, planned("recent"), dataclasses.replace(policy, batch=64))
    [found] = [finding for finding in training.findings if finding.code == "memory"]
    assert found.measured == 32
    assert training.verdict is Verdict.PASS


def test_stop_is_heard_by_all_and_leaves_a_checkpoint(world, planned, tmp_path):
    class Pulse:
        on = False

        def beat(self):
            pass

        def stopping(self):
            return self.on

    pulse = Pulse()

    def tell(what, done=0, total=0, note=""):
        pulse.on = True  # the first epoch is over

    (tmp_path / "cut").mkdir()
    given = {"scratch": tmp_path / "cut", "pulse": pulse, "progress": tell}
    with pytest.raises(Interrupted, match="after step 1 of epoch 2"):
        run(world, planned("incremental"), dataclasses.replace(TWO, checkpoint_s=1e9), **given)
    assert multiprocessing.active_children() == []
    policy = dataclasses.replace(TWO, checkpoint_s=1e9)
    resumed = run(world, planned("incremental"), policy, scratch=tmp_path / "cut")
    assert resumed.weights == run(world, planned("incremental"), policy).weights
