"""Trials side by side, in processes of their own."""

from __future__ import annotations

import dataclasses
import multiprocessing

import pytest

from instar.core.errors import Interrupted
from instar.core.policy import TrainPolicy, TuneRule
from instar.core.records import TrialState
from instar.engines.local import Local
from tests.stages.train.test_train import run

SPACE = {"lr": [0.003, 0.01, 1e30]}


@pytest.fixture
def world(line):
    made = line(turn=1.0, fresh_rows=400, old_rows=600)
    return dataclasses.replace(made, tools=dataclasses.replace(made.tools, engine=Local()))


def policy(**rule):
    rule = TuneRule(**{"trials": 3, "pruner": "none", "sampler": "grid", "space": SPACE, **rule})
    return TrainPolicy(tune=rule, epochs=2, optimizer="sgd", checkpoint_s=0.0)


def said(training):
    return [(trial.settings, trial.value, trial.state, trial.epochs) for trial in training.trials]


class Pulse:
    """Stops once the first round is over and the second one is at work."""

    on = False

    def beat(self):
        pass

    def stopping(self):
        return self.on

    def tell(self, what, done=0, total=0, note=""):
        self.on = done >= 2 and "0 of them" in note


def cut_off(world, planned, rule, scratch):
    pulse = Pulse()
    scratch.mkdir()
    with pytest.raises(Interrupted, match="trials at work"):
        run(world, planned, rule, scratch=scratch, pulse=pulse, progress=pulse.tell)
    assert multiprocessing.active_children() == []
    return run(world, planned, rule, scratch=scratch)


def test_trials_side_by_side_are_those_one_after_the_other_cut_off_or_not(world, planned, tmp_path):
    """Of a grid, whose trials do not learn from each other."""
    one = run(world, planned("recent"), policy())
    two = cut_off(world, planned("recent"), policy(parallel=2), tmp_path / "cut")
    assert said(one) == said(two)
    assert {trial.state for trial in two.trials} == {TrialState.COMPLETE, TrialState.FAILED}
    assert one.weights == two.weights
    assert all(trial.cpu_s > 0 for trial in two.trials)


@pytest.mark.thorough
def test_tuning_side_by_side_hangs_on_the_seed_alone(world, planned, tmp_path):
    space = {"lr": "1e-3..1e-1 log"}
    rule = policy(trials=4, sampler="tpe", pruner="median", parallel=2, space=space)
    resumed = cut_off(world, planned("recent"), rule, tmp_path / "cut")
    whole = run(world, planned("recent"), rule)
    assert said(resumed) == said(whole)
    assert resumed.weights == whole.weights
    assert len(whole.trials) == 4
