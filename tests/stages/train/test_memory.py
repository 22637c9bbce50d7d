"""How a training keeps within memory: a device and a network that say when there is none left."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch

from instar.core.finding import Verdict
from instar.core.policy import TrainPolicy, TuneRule
from instar.core.records import Network, TrialState
from instar.core.tools import Machine
from instar.stages.train import devices, memory
from instar.stages.train.devices.cpu import Cpu
from tests.stages.train.test_train import run

OWN = """
import torch
from torch import nn

MOST, KIND, AT = {most}, {kind}, {at}
seen = []

class Hungry(nn.Module):
    '''Has memory for so many rows of a training step, and none for more.'''
    def __init__(self, inputs):
        super().__init__()
        self.table = nn.Embedding(inputs.categories[0], 2)
        self.body = nn.Sequential(nn.Linear(inputs.numbers + 2, 16), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(16, inputs.outputs)
    def forward(self, x, codes):
        if self.training:
            seen.append(len(x))
            if len(x) > MOST and len(seen) > AT:
                raise KIND("CUDA out of memory. Tried to allocate 1 GiB.")
        return self.head(self.body(torch.cat([x, self.table(codes[:, 0])], 1)))

def build(inputs):
    return Hungry(inputs)
"""
OOM = "torch.OutOfMemoryError"


class Tight(Cpu):
    """Makes the trial step in full, as a card does."""

    name = "tight"
    tried: list[int] = []  # noqa: RUF012

    def fits(self, step, rows, beside):
        self.tried.append(rows)
        try:
            step(rows)
        except torch.OutOfMemoryError:
            return False
        return True


@pytest.fixture
def hungry(line):
    def make(most, kind=OOM, at=0, **more):
        world = line(turn=1.0, **more)
        (world.tools.project / "own.py").write_text(OWN.format(most=most, kind=kind, at=at))
        from instar import provenance

        network = Network(
            build="own:build", source=provenance.module("own:build", world.tools.project)
        )
        return dataclasses.replace(
            world, request=dataclasses.replace(world.request, network=network)
        )

    return make


@pytest.fixture
def tight(monkeypatch):
    monkeypatch.setattr(devices, "choose", Tight)
    Tight.tried.clear()
    return Tight.tried


def finding(training, code=memory.CODE):
    return next((f for f in training.findings if f.code == code), None)


def test_batch_is_halved_until_a_trial_step_fits_and_the_rate_by_its_root(hungry, planned, tight):
    world = hungry(most=40)
    policy = TrainPolicy(batch=128, lr=0.01, full_epochs=2)
    training = run(world, planned("full"), policy)
    assert tight == [128, 64, 32]
    assert training.verdict is not Verdict.ERROR
    assert finding(training).verdict is Verdict.PASS
    assert finding(training).measured == 32
    assert training.recipe["batch"] == 32
    assert training.recipe["lr"] == pytest.approx(0.01 * math.sqrt(32 / 128))


def test_training_with_a_found_batch_is_the_training_with_that_batch(hungry, planned, tight):
    found = run(hungry(most=40), planned("full"), TrainPolicy(batch=128, lr=0.01, full_epochs=2))
    asked = TrainPolicy(batch=32, lr=0.01 * math.sqrt(32 / 128), full_epochs=2)
    assert run(hungry(most=40), planned("full"), asked).weights == found.weights


def test_trial_step_leaves_no_trace(line, planned, tight, monkeypatch):
    network = Network(family="mlp", options={"hidden": [16], "norm": "batch", "dropout": 0.2})
    world = line(turn=0.5, network=network)
    policy = TrainPolicy(full_epochs=2)
    tried = run(world, planned("full"), policy)
    assert len(tight) == 1
    monkeypatch.setattr(memory, "_found", memory._batch)
    assert run(world, planned("full"), policy).weights == tried.weights


@pytest.mark.parametrize(
    ("kind", "word"), [(OOM, "torch"), ("MemoryError", "host"), ("RuntimeError", "allocator")]
)
def test_memory_that_runs_out_in_the_midst_begins_once_more_with_half(
    hungry, planned, kind, word, tmp_path
):
    (tmp_path / "scratch-own").mkdir()
    seen = []

    def tell(what, done=0, total=0, note=""):
        seen.append((done, note))

    policy = TrainPolicy(batch=128, lr=0.01, full_epochs=2, checkpoint_s=0.0)
    world = hungry(most=70, kind=kind, at=15)  # the second epoch: 10 steps make the first
    training = run(world, planned("full"), policy, progress=tell, scratch=tmp_path / "scratch-own")
    assert finding(training).measured == 64
    assert "in the midst" in finding(training).message
    assert [done for done, _ in seen if done] == [1, 1, 2]  # begun anew, not gone on
    asked = TrainPolicy(batch=64, lr=0.01 * math.sqrt(0.5), full_epochs=2)
    assert run(hungry(most=70), planned("full"), asked).weights == training.weights


def test_memory_that_runs_out_twice_ends_in_a_finding_with_advice(hungry, planned):
    training = run(hungry(most=9), planned("full"), TrainPolicy(batch=128, full_epochs=2))
    assert training.verdict is Verdict.FAIL
    assert [f.code for f in training.findings if f.verdict is Verdict.FAIL] == ["memory"]
    assert finding(training).enforced
    assert "train.batch" in finding(training).passes_if
    assert (training.steps, training.history, training.replay) == (0, (), None)


def test_error_that_is_not_of_memory_is_not_taken_for_one(hungry, planned):
    world = hungry(most=70, kind="ZeroDivisionError")
    own = (world.tools.project / "own.py").read_text().replace("out of memory", "by nought")
    (world.tools.project / "own.py").write_text(own)
    from instar import provenance

    source = provenance.module("own:build", world.tools.project)
    network = dataclasses.replace(world.request.network, source=source)
    world = dataclasses.replace(world, request=dataclasses.replace(world.request, network=network))
    with pytest.raises(ZeroDivisionError):
        run(world, planned("full"), TrainPolicy(batch=128, full_epochs=2))


def test_training_begun_anew_and_then_cut_off_goes_on_with_what_was_found(
    hungry, planned, tmp_path
):
    class Killed(Exception):
        pass

    def killed(what, done=0, total=0, note=""):
        if done == 2:
            raise Killed

    policy = TrainPolicy(batch=128, lr=0.01, full_epochs=3, checkpoint_s=0.0)
    (tmp_path / "cut").mkdir()
    with pytest.raises(Killed):
        run(hungry(most=70), planned("full"), policy, scratch=tmp_path / "cut", progress=killed)
    note = (tmp_path / "cut" / memory.NAME).read_bytes().partition(b"\n")[2]
    assert (json.loads(note)["batch"], json.loads(note)["again"]) == (64, True)
    seen = []
    resumed = run(
        hungry(most=70),
        planned("full"),
        policy,
        scratch=tmp_path / "cut",
        progress=lambda what, done=0, total=0, note="": seen.append(done),
    )
    assert seen == [2, 3]  # and not once more with 128 rows
    assert finding(resumed).measured == 64


def test_processor_takes_a_batch_that_its_allowed_memory_has_room_for(line, planned):
    world = line(turn=1.0)
    policy = TrainPolicy(batch=256, full_epochs=1)
    tools = dataclasses.replace(world.tools, machine=Machine("cpu", 20_000))
    training = run(dataclasses.replace(world, tools=tools), planned("full"), policy)
    found = finding(training).measured
    assert 2 <= found < 256
    assert finding(run(world, planned("full"), policy)) is None


def test_trial_of_a_tuning_without_memory_is_a_failed_one(hungry, planned):
    rule = TuneRule(trials=2, sampler="grid", space={"batch": [4, 256]})
    training = run(hungry(most=9), planned("full"), TrainPolicy(full_epochs=1, tune=rule))
    states = {trial.settings["batch"]: trial.state for trial in training.trials}
    assert states == {4: TrialState.COMPLETE, 256: TrialState.FAILED}
