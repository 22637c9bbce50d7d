from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.core.data import Task, TaskKind
from instar.core.policy import TrainPolicy
from instar.stages.train.methods.interpolate import between, interpolate
from instar.stages.train.methods.part import Ground
from instar.stages.train.rows import Rows

TASK = Task(TaskKind.REGRESSION, "y")


def state(slope):
    return {"weight": torch.tensor([[slope]])}


def rows(slope):
    x = torch.linspace(-1, 1, 50)[:, None]
    return Rows((x,), slope * x + 0.1 * torch.sin(40 * x))


def chosen(champion, successor, fresh, old):
    ground = Ground(
        TASK, state(champion), rows(fresh), None, rows(old) if old is not None else None
    )
    finish = interpolate(ground, TrainPolicy()).finish
    assert finish is not None
    weights, finding = finish(nn.Linear(1, 1, bias=False), state(successor))
    assert weights["weight"].item() == pytest.approx(
        champion + finding.measured * (successor - champion), rel=1e-5
    )
    return finding.measured


def test_interpolate_goes_all_the_way_when_the_successor_is_right():
    assert chosen(champion=0.0, successor=1.0, fresh=1.0, old=1.0) == 1.0


def test_interpolate_stops_between_when_old_rows_want_the_champion():
    assert 0.3 <= chosen(champion=1.0, successor=2.0, fresh=2.0, old=1.0) < 1.0


def test_interpolate_corrects_a_step_too_far_on_fresh_rows_alone():
    assert chosen(champion=0.0, successor=2.0, fresh=1.0, old=None) == 0.5


def test_between_keeps_the_successors_counters():
    champion = {"mean": torch.zeros(2), "seen": torch.tensor(3)}
    successor = {"mean": torch.ones(2), "seen": torch.tensor(9)}
    got = between(champion, successor, 0.25)
    assert got["mean"].tolist() == [0.25, 0.25]
    assert got["seen"].item() == 9


def test_interpolate_does_nothing_where_the_policy_says_so():
    ground = Ground(TASK, state(0.0), rows(1.0), None, None)
    assert interpolate(ground, TrainPolicy(interpolate=False)).finish is None
