"""SIGKILL a training at a step; going on ends bit for bit where an undisturbed one does."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from instar.ledger.safedir import SafeDir
from instar.stages.train import checkpoint
from instar.stages.train.checkpoint import BEFORE, NAME

# Dropout, replayed rows, a schedule that falls with each step, early stopping, the moments of
# AdamW: everything that is carried from one step to the next.
TRAINING = """\
# warm
import json, os, signal, sys, torch
from pathlib import Path
from torch import nn
from torch.nn import functional
from instar.core.clock import SystemClock
from instar.core.errors import Interrupted
from instar.ledger.safedir import SafeDir
from instar.stages.train import loop
from instar.stages.train.course import Course, Group
from instar.stages.train.keeper import Keeper
from instar.stages.train.optimizers import adamw
from instar.stages.train.rows import Rows
from instar.stages.train.schedules import cosine

class Pulse:
    def __init__(self, how, at):
        self.how, self.at, self.steps = how, at, 0
    def beat(self):
        self.steps += 1
        if self.how == "kill" and self.steps == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
    def stopping(self):
        return self.how == "stop" and self.steps >= self.at

def rows(count, seed):
    own = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=own)
    noise = torch.randn(count, 1, generator=own)
    return Rows((x,), (x.sum(1, keepdim=True) + noise > 0).float())

def train(folder, every_s, how, at):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))
    course = Course(
        rule=adamw, schedule=cosine, loss=functional.binary_cross_entropy_with_logits, terms=(),
        metric=lambda out, labels: float(((out > 0) == (labels.numpy() > 0.5)).mean()), lr=0.02,
        batch=16, epochs=8, replay_ratio=0.5, weight_decay=0.01, patience=6, clip=1.0, seed=3,
    )
    keeper = Keeper(SafeDir(Path(folder)), "key", SystemClock(), every_s, Pulse(how, at))
    groups = [Group(list(net.parameters()))]
    try:
        run = loop.fit(net, rows(150, 0), 100, rows(60, 9), course, groups=groups, keeper=keeper,
                       tell=lambda epoch: None)
    except Interrupted as stop:
        return {"stopped": stop.got}
    return {"damaged": run.damaged, "made": keeper.pulse.steps}

torch.set_num_threads(1)
for task in sys.stdin:  # libraries are loaded once; each training is a process all the same
    pid = os.fork()
    if pid == 0:
        print(json.dumps(train(*json.loads(task))), flush=True)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(json.dumps({"status": status}), flush=True)
"""
EPOCH, EACH = 0.0, 1e-9  # a checkpoint after each epoch, or after each step
STEPS = 8 * 7


class Trainer:
    """Train in processes of their own, forked off one that has its libraries loaded."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRAINING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, folder: Path, every_s: float, how: str = "run", at: int = 0) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([str(folder), every_s, how, at]) + "\n")
        self.process.stdin.flush()
        told = [json.loads(self.process.stdout.readline())]
        while "status" not in told[-1]:
            told.append(json.loads(self.process.stdout.readline()))
        assert told[-1]["status"] == (-signal.SIGKILL if how == "kill" else 0)
        return told[0]


@pytest.fixture(scope="module")
def train() -> Iterator[Trainer]:
    trainer = Trainer()
    yield trainer
    trainer.process.communicate()


@pytest.fixture(scope="module")
def undisturbed(train: Trainer, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The last checkpoint: weights, best weights, moments, random states, order, counters."""
    folder = tmp_path_factory.mktemp("calm")
    assert train(folder, EPOCH)["made"] == STEPS
    return state(folder)


def state(folder: Path) -> Mapping[str, Any]:
    """Everything in the last checkpoint, tensors as their bytes."""
    found, _ = checkpoint.load(SafeDir(folder), "key")
    assert found
    tensors = {name: tensor.numpy().tobytes() for name, tensor in found.tensors.items()}
    return {**tensors, **found.plain}


def killed(
    train: Trainer, folder: Path, every_s: float, step: int, undisturbed: Mapping[str, Any]
) -> None:
    train(folder, every_s, "kill", step)
    done = train(folder, every_s)
    begun = step - 1 if every_s == EACH else (step - 1) // 7 * 7
    assert done["made"] == STEPS - begun  # it went on, and made no step twice but the lost ones
    assert state(folder) == undisturbed


def test_training_killed_within_an_epoch_goes_on_bit_for_bit(
    train: Trainer, tmp_path: Path, undisturbed: Mapping[str, Any]
) -> None:
    killed(train, tmp_path, EACH, 25, undisturbed)


def test_training_told_to_stop_leaves_its_last_step_and_goes_on_bit_for_bit(
    train: Trainer, tmp_path: Path, undisturbed: Mapping[str, Any]
) -> None:
    assert train(tmp_path, EPOCH, "stop", 14)["stopped"].endswith("after step 7 of epoch 2")
    assert train(tmp_path, EPOCH, "stop", 3)["stopped"].endswith("after step 3 of epoch 3")
    assert train(tmp_path, EPOCH)["made"] == STEPS - 17
    assert state(tmp_path) == undisturbed


def test_damaged_checkpoint_is_named_and_the_one_before_goes_on_bit_for_bit(
    train: Trainer, tmp_path: Path, undisturbed: Mapping[str, Any]
) -> None:
    train(tmp_path, EACH, "kill", 30)
    last = bytearray((tmp_path / NAME).read_bytes())
    last[len(last) // 2] ^= 1
    (tmp_path / NAME).write_bytes(last)
    assert (tmp_path / BEFORE).exists()
    done = train(tmp_path, EACH)
    assert (done["damaged"], done["made"]) == ([NAME], STEPS - 28)
    assert state(tmp_path) == undisturbed


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(10))
def test_training_killed_at_a_random_step_goes_on_bit_for_bit(
    train: Trainer, tmp_path: Path, undisturbed: Mapping[str, Any], seed: int
) -> None:
    luck = random.Random(seed)
    killed(train, tmp_path, luck.choice([EPOCH, EACH]), luck.randint(1, STEPS), undisturbed)
