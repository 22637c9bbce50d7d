from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from instar.core.codec import decode, encode
from instar.core.errors import Interrupted, UnknownName
from instar.core.finding import Verdict
from instar.core.policy import TrainPolicy, TuneRule
from instar.core.records import Network, Training, TrialState, successor
from instar.models import build, weights
from instar.report.pictures import draw
from instar.stages.train import train
from instar.stages.train.tuning.journal import NAME
from instar.stages.train.tuning.samplers import SAMPLERS
from instar.stages.train.tuning.space import FixedArchitecture
from instar.testing.tools import FakeClock

SPACE = {
    "lr": "1e-3..1e-1 log",
    "batch": [64, 128],
    "epochs": "2..4",
    "optimizer": ["adamw", "sgd"],
}
LISTED = {"lr": [0.001, 0.01, 0.03], "batch": [64, 128], "epochs": [2, 3]}


def policy(trials=4, *, space=SPACE, budget_s=None, pruner="none", sampler="random", **more):
    rule = TuneRule(trials, budget_s, sampler, pruner, space)
    return TrainPolicy(checkpoint_s=0.0, tune=rule, **more)


def run(line, plan, policy, **changes):
    """Train in a scratch folder of its own, so that nothing is taken up by chance."""
    scratch = Path(tempfile.mkdtemp(dir=line.tools.scratch))
    tools = dataclasses.replace(line.tools, **{"scratch": scratch, **changes})
    return train(line.request, line.champion, line.admission, plan, policy=policy, tools=tools)


def plain(training):
    """Give what must be the same again: all of the trials but the seconds."""
    return [dataclasses.replace(trial, cpu_s=0.0) for trial in training.trials]


def finding(training):
    return next(one for one in training.findings if one.code == "tuning")


@pytest.fixture
def drifted(line):
    return line(turn=1.0, old_rows=600, fresh_rows=300)


def heard(scratch):
    """Read what the pruner heard of each trial, by epoch."""
    _, _, data = (scratch / "tuning" / NAME).read_bytes().partition(b"\n")
    return [line["reports"] for line in json.loads(data)["lines"]]


class Killed(Exception):
    pass


def kill_in(trial, epoch):
    def progress(what, done=0, total=0, note=""):
        if note.startswith(f"trial {trial} of") and f"epoch {epoch}," in note:
            raise Killed

    return progress


def test_train_without_trials_neither_tunes_nor_loads_optuna(drifted, planned):
    assert run(drifted, planned("incremental"), TrainPolicy()).trials == ()
    code = "import sys, instar.stages.train; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_tune_files_every_trial_and_keeps_the_best(drifted, planned, sampler):
    training = run(drifted, planned("incremental"), policy(space=LISTED, sampler=sampler))
    values = [trial.value for trial in training.trials]
    assert [trial.number for trial in training.trials] == [0, 1, 2, 3]
    assert {trial.state for trial in training.trials} == {TrialState.COMPLETE}
    assert all(set(trial.settings) == set(LISTED) for trial in training.trials)
    assert all(trial.epochs >= 2 and trial.passes > 0 for trial in training.trials)
    assert finding(training).measured == min(values)
    assert not finding(training).enforced
    assert "svg" in draw(finding(training).picture)
    assert decode(Training, encode(training)) == training


@pytest.mark.parametrize("name", ["digits_line", "diabetes_line"])
def test_tune_works_for_other_tasks(request, planned, name):
    training = run(request.getfixturevalue(name), planned("incremental"), policy(2, space={}))
    assert finding(training).measured == min(trial.value for trial in training.trials) <= 2.0


def test_tune_gives_the_weights_that_the_best_settings_give_alone(drifted, planned):
    training = run(drifted, planned("incremental"), policy(trials=5))
    best = min(training.trials, key=lambda trial: trial.value)
    alone = run(
        drifted, planned("incremental"), TrainPolicy(checkpoint_s=0.0, **dict(best.settings))
    )
    assert training.weights == alone.weights
    assert training.history == alone.history
    assert len(training.history) == best.epochs == best.settings["epochs"]


def test_tune_judges_in_units_of_the_champions_loss(drifted, planned):
    """Trained so little that it stays the champion, a trial has one unit for each side."""
    tiny = policy(trials=2, space={"lr": [1e-12, 2e-12]})
    training = run(drifted, planned("incremental"), tiny)
    assert [trial.value for trial in training.trials] == pytest.approx([2.0, 2.0], abs=1e-4)


def test_tune_reads_no_test_rows(drifted, planned):
    admission = drifted.admission
    gone = dataclasses.replace(admission.split.test, digest="sha256:" + "0" * 64)
    split = dataclasses.replace(admission.split, test=gone)
    blind = dataclasses.replace(drifted, admission=dataclasses.replace(admission, split=split))
    seen = run(drifted, planned("incremental"), policy())
    assert run(blind, planned("incremental"), policy()).weights == seen.weights


def test_tune_begins_with_what_the_strategy_would_take(drifted, planned):
    space = {"lr": "1e-3..1e-1 log", "distill": "0.1..2"}
    training = run(drifted, planned("incremental"), policy(trials=3, space=space))
    untuned = run(drifted, planned("incremental"), policy(trials=0))
    assert training.trials[0].settings["distill"] == 0.6
    only_one = run(drifted, planned("incremental"), policy(trials=1, space=space))
    assert only_one.weights == untuned.weights
    assert finding(training).measured <= training.trials[0].value


def test_tune_hands_the_best_settings_on_to_the_next_update(drifted, planned):
    first = run(drifted, planned("incremental"), policy())
    best = min(first.trials, key=lambda trial: trial.value).settings
    assert first.recipe["best.incremental.lr"] == best["lr"]
    assert {k: v for k, v in first.recipe.items() if "." not in k} == drifted.champion.recipe
    recipe = {**first.recipe, "best.incremental.lr": 0.0123, "best.full.lr": 0.05}
    champion = dataclasses.replace(drifted.champion, recipe=recipe)
    later = dataclasses.replace(drifted, champion=champion)
    again = run(later, planned("incremental"), policy(trials=2))
    assert again.trials[0].settings["lr"] == 0.0123
    assert again.trials[0].settings["batch"] == best["batch"]
    assert isinstance(again.trials[0].settings["batch"], int)
    untuned = run(later, planned("full"), TrainPolicy(full_epochs=1))
    assert untuned.recipe["best.incremental.lr"] == 0.0123


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
@pytest.mark.parametrize(("trial", "epoch", "pruner"), [(7, 1, "median"), (3, 2, "none")])
def test_tune_cut_off_and_resumed_equals_uninterrupted(
    drifted, planned, sampler, trial, epoch, pruner, tmp_path
):
    space = LISTED if sampler == "grid" else SPACE
    rule = policy(trials=8, sampler=sampler, space=space, pruner=pruner)
    whole = run(drifted, planned("incremental"), rule)
    scratch, seen = tmp_path / "again", []
    with pytest.raises(Killed):
        run(drifted, planned("incremental"), rule, scratch=scratch, progress=kill_in(trial, epoch))
    resumed = run(
        drifted,
        planned("incremental"),
        rule,
        scratch=scratch,
        progress=lambda what, done=0, total=0, note="": seen.append(note),
    )
    assert seen[0].startswith(f"trial {trial} of 8, epoch {epoch}")  # none was trained again
    assert plain(resumed) == plain(whole)
    assert (resumed.weights, resumed.history) == (whole.weights, whole.history)
    assert finding(resumed) == finding(whole)


def test_tune_told_to_stop_keeps_what_the_pruner_heard(drifted, planned, tmp_path):
    class Pulse:
        beats = 0

        def beat(self):
            self.beats += 1

        def stopping(self):
            return self.beats == 30  # in the second epoch of the third trial: 4 steps an epoch

    space = {"lr": "1e-3..1e-1 log", "batch": [64], "epochs": [3]}
    rule = policy(trials=6, space=space, pruner="median", sampler="tpe")
    whole = run(drifted, planned("incremental"), rule, scratch=tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(drifted, planned("incremental"), rule, scratch=tmp_path / "a", pulse=Pulse())
    resumed = run(drifted, planned("incremental"), rule, scratch=tmp_path / "a")
    assert plain(resumed) == plain(whole)
    assert resumed.weights == whole.weights
    assert heard(tmp_path / "a") == heard(tmp_path / "whole")


def test_tune_resumed_after_its_last_trial_takes_the_kept_weights(drifted, planned, tmp_path):
    whole = run(drifted, planned("incremental"), policy(), scratch=tmp_path / "a")
    again = run(drifted, planned("incremental"), policy(), scratch=tmp_path / "a")
    assert again.weights == whole.weights
    assert again.history == whole.history
    for name in ("training.checkpoint", "training.checkpoint.before"):
        (tmp_path / "a" / "tuning" / name).unlink(missing_ok=True)
    lost = run(drifted, planned("incremental"), policy(), scratch=tmp_path / "a")
    assert lost.weights == whole.weights
    (tmp_path / "a" / "tuning" / NAME).write_bytes(b"damaged")
    assert run(drifted, planned("incremental"), policy(), scratch=tmp_path / "a").weights == (
        whole.weights
    )


@pytest.mark.parametrize("sampler", ["cmaes", "nsga2"])
def test_tune_goes_on_with_samplers_that_forget(drifted, planned, sampler, tmp_path):
    rule = policy(trials=5, sampler=sampler)
    with pytest.raises(Killed):
        run(
            drifted,
            planned("incremental"),
            rule,
            scratch=tmp_path / "a",
            progress=kill_in(4, 1),
        )
    assert len(run(drifted, planned("incremental"), rule, scratch=tmp_path / "a").trials) == 5


def test_tune_within_its_seconds_begins_no_further_trial(drifted, planned):
    clock = FakeClock()

    def slow(what, done=0, total=0, note=""):
        clock.elapsed += 1.0

    rule = policy(trials=9, space={"lr": [0.01, 0.02], "epochs": [2]}, budget_s=3.0)
    training = run(drifted, planned("incremental"), rule, clock=clock, progress=slow)
    assert len(training.trials) == 2  # two seconds each


def test_tune_ends_with_the_grid(drifted, planned):
    rule = policy(trials=99, space={"lr": [0.01, 0.02], "batch": [64, 128]}, sampler="grid")
    training = run(drifted, planned("incremental"), rule)
    assert len({tuple(trial.settings.items()) for trial in training.trials}) == 4
    assert len(training.trials) == 4


def test_tune_gives_up_trials_that_fall_behind(drifted, planned):
    space = {"lr": "1e-4..3", "epochs": [6]}
    training = run(drifted, planned("incremental"), policy(10, space=space, pruner="median"))
    pruned = [trial for trial in training.trials if trial.state is TrialState.PRUNED]
    assert 1 <= len(pruned) <= 7  # the first three are let run
    assert all(1 <= trial.epochs < 6 for trial in pruned)
    assert all(trial.value > finding(training).measured for trial in pruned)
    assert f"{len(pruned)} given up early" in finding(training).message


def test_tune_pays_for_the_same_settings_once(drifted, planned):
    space = {"lr": [0.01, 0.02], "epochs": [2]}
    trials = run(drifted, planned("incremental"), policy(6, space=space)).trials
    assert sum(trial.epochs > 0 for trial in trials) == 2
    assert len({(trial.settings["lr"], trial.value) for trial in trials}) == 2


def test_tune_files_settings_that_do_not_go_together_as_failed(drifted, planned):
    space = {"loss": ["bce", "hinge"], "label_smoothing": [0.1, 0.2]}
    training = run(drifted, planned("incremental"), policy(4, space=space, sampler="grid"))
    failed = [trial for trial in training.trials if trial.state is TrialState.FAILED]
    assert [trial.settings["loss"] for trial in failed] == ["hinge", "hinge"]
    assert all(trial.value is None for trial in failed)
    assert training.verdict is Verdict.PASS


def test_tune_without_a_trial_that_ends_takes_the_strategys_own_settings(drifted, planned):
    space = {"loss": ["hinge"], "label_smoothing": [0.1, 0.2]}
    training = run(drifted, planned("incremental"), policy(2, space=space, sampler="grid"))
    assert finding(training).verdict is Verdict.FAIL
    assert training.weights == run(drifted, planned("incremental"), policy(0)).weights


def test_tune_files_a_trial_whose_loss_is_no_number_as_failed(drifted, planned):
    space = {"lr": [0.01, 1e30], "optimizer": ["sgd"], "clip": [1e30]}
    training = run(drifted, planned("incremental"), policy(4, space=space))
    states = {trial.settings["lr"]: trial.state for trial in training.trials}
    assert states == {0.01: TrialState.COMPLETE, 1e30: TrialState.FAILED}
    assert all(f.code != "nan_loss" or f.verdict is Verdict.PASS for f in training.findings)


def test_tune_searches_for_a_network_where_weights_are_new(drifted, planned):
    space = {"network.hidden": [[4], [24, 12]], "network.dropout": "0.3..0.5"}
    training = run(drifted, planned("full"), policy(3, space=space, full_epochs=2))
    best = min(training.trials, key=lambda trial: trial.value).settings
    assert training.network == Network(
        family="mlp",
        options={"hidden": best["network.hidden"], "dropout": best["network.dropout"]},
    )
    net = build.build(training.network, training.preprocessing.inputs(1), drifted.tools.project)
    weights.load(net, drifted.tools.artifacts.read(training.weights))
    assert "instar.yaml" in finding(training).message
    assert decode(Training, encode(training)) == training


def test_successor_has_the_network_that_was_found(drifted, planned):
    space = {"network.hidden": [[4], [8]]}
    training = run(drifted, planned("full"), policy(2, space=space, full_epochs=1))
    validation = type("Validated", (), {"candidate": {}})
    made = successor(
        drifted.request, drifted.champion, drifted.admission, training, drifted.champion.bundle,
        validation,
    )  # fmt: skip
    assert made.network == training.network


def test_tune_refuses_a_network_where_the_champion_goes_on(drifted, planned):
    with pytest.raises(FixedArchitecture, match=r"plan\.strategy: full"):
        run(drifted, planned("incremental"), policy(space={"network.hidden": [[4], [8]]}))


@pytest.mark.parametrize(
    "space",
    [{"optimizer": ["adamw", "adamm"]}, {"schedule": ["cosine", "sine"]}, {"loss": ["bce", "bc"]}],
)
def test_tune_refuses_choices_that_do_not_exist_before_the_first_trial(drifted, planned, space):
    with pytest.raises(UnknownName, match="did you mean"):
        run(drifted, planned("incremental"), policy(space=space))


@pytest.mark.parametrize("changes", [{"sampler": "tp"}, {"pruner": "medin"}])
def test_tune_refuses_a_sampler_or_pruner_that_does_not_exist(drifted, planned, changes):
    with pytest.raises(UnknownName):
        run(drifted, planned("incremental"), policy(**changes))


def test_tune_of_a_refitted_head_has_nothing_to_try(drifted, planned):
    training = run(drifted, planned("head"), policy())
    assert training.trials == ()
    assert "nothing to try" in finding(training).message


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
@pytest.mark.parametrize("strategy", ["incremental", "full"])
def test_tune_has_a_space_of_its_own_for_each_strategy(drifted, planned, strategy, sampler):
    rule = policy(2, space={}, sampler=sampler, full_epochs=1)
    settings = run(drifted, planned(strategy), rule).trials[0].settings
    usual = {"lr", "batch", "weight_decay"}
    assert set(settings) == (usual | {"distill"} if strategy == "incremental" else usual)


def test_training_from_before_there_were_trials_is_still_read(drifted, planned):
    body = encode(run(drifted, planned("incremental"), TrainPolicy(epochs=1)))
    del body["trials"], body["network"]
    assert decode(Training, body).trials == ()
    assert decode(Training, body).network is None
