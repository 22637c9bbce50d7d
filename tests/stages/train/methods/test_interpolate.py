from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.core.data import Task, TaskKind
from instar.core.policy import TrainPolicy
from instar.stages.train.methods.interpolate import between, interpolate
from instar.stages.train.methods.interpolate_blind import interpolate_blind
from instar.stages.train.methods.interpolate_stable import interpolate_stable
from instar.stages.train.rows import Rows

TWO = Task(TaskKind.BINARY, "y", ("no", "yes"))


def state(slope):
    return {"weight": torch.tensor([[slope]])}


def rows(slope):
    x = torch.linspace(-1, 1, 50)[:, None]
    return Rows((x,), slope * x + 0.1 * torch.sin(40 * x))


def choose(make, champion, successor, fresh, old):
    lain = make(
        champion=state(champion),
        valid=rows(fresh),
        old_valid=rows(old) if old is not None else None,
    )
    finish = interpolate(lain, TrainPolicy()).finish
    assert finish is not None
    weights, finding = finish(nn.Linear(1, 1, bias=False), state(successor))
    assert weights["weight"].item() == pytest.approx(
        champion + finding.measured * (successor - champion), rel=1e-5
    )
    return finding.measured


def test_interpolate_goes_all_the_way_when_the_successor_is_right(ground):
    assert choose(ground, champion=0.0, successor=1.0, fresh=1.0, old=1.0) == 1.0


def test_interpolate_stops_between_when_old_rows_want_the_champion(ground):
    assert 0.3 <= choose(ground, champion=1.0, successor=2.0, fresh=2.0, old=1.0) < 1.0


def test_interpolate_weighs_errors_of_a_regression_in_one_unit(ground):
    """The champion hardly errs on old rows: half-way, where all errors together are least."""
    assert choose(ground, champion=1.0, successor=2.0, fresh=2.0, old=1.0) == 0.5


def test_interpolate_corrects_a_step_too_far_on_fresh_rows_alone(ground):
    assert choose(ground, champion=0.0, successor=2.0, fresh=1.0, old=None) == 0.5


def test_between_keeps_the_successors_counters():
    champion = {"mean": torch.zeros(2), "seen": torch.tensor(3)}
    successor = {"mean": torch.ones(2), "seen": torch.tensor(9)}
    got = between(champion, successor, 0.25)
    assert got["mean"].tolist() == [0.25, 0.25]
    assert got["seen"].item() == 9


def test_interpolate_does_nothing_where_the_policy_says_so(ground):
    assert interpolate(ground(), TrainPolicy(interpolate=False)).finish is None


def test_interpolate_stable_stops_where_right_answers_would_be_lost(ground):
    x = torch.linspace(-1, 1, 101)[:, None]
    labels = (x > 0.0).float()
    champion, successor = {"weight": torch.tensor([[1.0]]), "bias": torch.tensor([-0.2])}, None
    successor = {"weight": torch.tensor([[1.0]]), "bias": torch.tensor([0.6])}
    lain = ground(
        nn.Linear(1, 1),
        Rows((x,), labels),
        task=TWO,
        champion=champion,
        old_valid=Rows((x,), labels),
    )
    _, finding = interpolate_stable(lain, TrainPolicy()).finish(nn.Linear(1, 1), successor)
    assert finding.measured == 0.3  # the cut stands at 0.2 - 0.8 w; right answers are lost below 0
    far = interpolate(lain, TrainPolicy()).finish(nn.Linear(1, 1), successor)[1].measured
    assert far >= finding.measured


def test_interpolate_blind_goes_a_fixed_share(ground):
    lain = ground(champion=state(0.0))
    got, finding = interpolate_blind(lain, TrainPolicy(share=0.4)).finish(
        nn.Linear(1, 1), state(1.0)
    )
    assert got["weight"].item() == pytest.approx(0.4)
    assert finding.measured == 0.4
    assert interpolate_blind(lain, TrainPolicy(interpolate=False)).finish is None
