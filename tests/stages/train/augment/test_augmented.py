"""Rows that join a training's batches: how many, of which, and the same however it goes."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import math

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

from instar.core.errors import Interrupted
from instar.core.finding import Verdict
from instar.core.policy import AugmentRule, EnsembleRule, TrainPolicy, TuneRule
from instar.core.records import Network
from instar.engines.local import Local
from instar.ledger.safedir import SafeDir
from instar.models.strategies import STRATEGIES, Case
from instar.stages.train import loop
from instar.stages.train.attempt import Given, fitting, ready
from instar.stages.train.augment.augmented import Augmented
from instar.stages.train.augment.fitness import UnfitKind
from instar.stages.train.course import Group
from instar.stages.train.fits import _near
from instar.stages.train.keeper import Keeper
from instar.stages.train.methods.augment import CODE
from instar.stages.train.rows import Rows
from instar.testing.tools import FakeClock
from tests.stages.conftest import BINARY, DIGITS, coins, lay_out
from tests.stages.train.test_compute import Pulse
from tests.stages.train.test_loop import PLAIN
from tests.stages.train.test_train import run

TABLE = AugmentRule(kinds=("resample", "synthesise"))
PICTURE = AugmentRule(kinds=("flip", "rotate", "scale", "crop"), copies=40)
QUICK = TrainPolicy(checkpoint_s=0.0, epochs=3, full_epochs=3, augment=TABLE)


@pytest.fixture
def rare(tmp_path):
    """Lay a binary line out whose fresh rows have few of a class: 24 of 360 to learn from."""
    fresh = coins(900, 2, 1.0)
    some = [fresh.filter(pl.col("answer") == "no").head(340), fresh.filter(answer="yes").head(36)]
    return lay_out(tmp_path, coins(600, 1), pl.concat(some), BINARY, ignore=("leak",))


def digit_images(rows: slice, nines: int | None = None) -> pl.DataFrame:
    bunch = load_digits()

    def png(pixels: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray((pixels * 15).astype(np.uint8)).save(file, format="PNG")
        return file.getvalue()

    table = {"image": [png(one) for one in bunch.images[rows]]}
    frame = pl.DataFrame({**table, "digit": bunch.target[rows].astype(str)})
    if nines is None:
        return frame
    return pl.concat([frame.filter(pl.col("digit") != "9"), frame.filter(digit="9").head(nines)])


@pytest.fixture
def images(tmp_path):
    network = Network(family="cnn", options={"channels": [4], "hidden": 16})
    old, fresh = digit_images(slice(0, 400)), digit_images(slice(400, 800), 9)
    return lay_out(tmp_path, old, fresh, DIGITS, network=network, steps=30)


def attempt_of(line, policy, strategy="incremental"):
    case = Case(line.champion.recipe, line.admission.split.train.rows, line.champion.train[0].rows)
    given = Given(line.request, line.champion, line.admission, line.tools)
    return ready(given, STRATEGIES[strategy].route(case), policy)


def source_of(attempt):
    return _near(fitting(attempt, lambda epoch: None))


def epoch(source, course, seed=0):
    order = torch.Generator().manual_seed(seed)
    return [(rows.take(places), rows.fresh) for rows, places in source.deal(order, course)]


def finding(training, code=CODE):
    return next((found for found in training.findings if found.code == code), None)


def test_nothing_changes_for_whoever_asks_for_nothing(rare, planned):
    plain = dataclasses.replace(QUICK, augment=AugmentRule())
    named = dataclasses.replace(plain, methods=("augment",))
    first, second = (run(rare, planned("incremental"), one) for one in (plain, named))
    assert first.weights == second.weights
    assert finding(first) is None
    assert not isinstance(source_of(attempt_of(rare, plain)), Augmented)


@pytest.mark.parametrize("stream", ["never", "always"])
def test_classes_are_balanced_in_each_epoch_and_replayed_rows_stay_as_they_are(rare, stream):
    policy = dataclasses.replace(
        QUICK, stream=stream, augment=dataclasses.replace(TABLE, copies=50)
    )
    attempt = attempt_of(rare, policy)
    source = source_of(attempt)
    batches = epoch(source, attempt.course)
    fresh = torch.cat([batch.labels[:count] for batch, count in batches]).flatten().long()
    counts = attempt.start.learn.labels.flatten().long().bincount()
    assert counts.tolist()[1] < counts.tolist()[0] / 5
    assert fresh.bincount().tolist() == [int(counts[0])] * 2
    old = {tuple(row) for row in attempt.start.ground.replay.inputs[0].tolist()}
    for batch, count in batches:  # each way to bring rows has its own ratio
        assert len(batch) - count == attempt.course.replayed(len(attempt.start.learn)) > 0
        assert all(tuple(row) in old for row in batch.inputs[0][count:].tolist())
        assert (batch.trust[count:] == 0.6).all()
        assert not batch.trust[:count].any()
    sizes = [count for _, count in batches]
    assert max(sizes) - min(sizes) <= 2  # dealt evenly


def test_rows_are_the_same_for_a_seed_and_others_in_each_epoch(images):
    attempt = attempt_of(images, dataclasses.replace(QUICK, augment=PICTURE))
    source, course = source_of(attempt), attempt.course

    def pixels(batches):
        return torch.cat([batch.inputs[0][:fresh] for batch, fresh in batches])

    first, again, other = (pixels(epoch(source, course, seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    known = {one.numpy().tobytes() for one in attempt.start.learn.inputs[0]}
    order = torch.Generator().manual_seed(0)
    new = []
    for _ in range(2):
        batches = [(rows.take(i), rows.fresh) for rows, i in source.deal(order, course)]
        new.append({one.numpy().tobytes() for one in pixels(batches)} - known)
    assert len(new[0]) > 20
    assert not new[0] & new[1]
    assert not new[0] & {one.numpy().tobytes() for one in other}
    learnt = {one.numpy().tobytes() for one in first}
    assert known <= learnt  # and all fresh rows are there as they are


def test_teachers_are_asked_about_the_rows_as_they_became(images):
    """The champion's answers are those on the moved image, not on the one it was made of."""
    policy = dataclasses.replace(QUICK, augment=PICTURE, methods=("lwf",), lwf=0.25)
    attempt = attempt_of(images, policy)
    for batch, fresh in epoch(source_of(attempt), attempt.course)[:3]:
        learnt = batch.take(torch.arange(fresh))
        asked = attempt.start.ground.teach(Rows(learnt.inputs, learnt.labels)).teacher
        torch.testing.assert_close(learnt.teacher, asked, rtol=1e-4, atol=1e-4)
        assert (learnt.trust == 0.25).all()


def test_cut_off_within_an_epoch_goes_on_bit_for_bit(images, tmp_path):
    attempt = attempt_of(images, dataclasses.replace(QUICK, augment=PICTURE))
    source, valid = source_of(attempt), attempt.start.ground.valid
    course = dataclasses.replace(PLAIN, batch=64, epochs=3, lr=1e-3, lesson=attempt.course.lesson)
    course = dataclasses.replace(course, loss=attempt.course.loss, metric=attempt.course.metric)
    steps = course.steps(source.fresh)
    assert steps > 3

    def fit(folder, at=math.inf):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.2), nn.Linear(16, 10))
        keeper = Keeper(SafeDir(folder), "key", FakeClock(), math.inf, Pulse(at))
        with contextlib.suppress(Interrupted):
            return loop.fit(
                net,
                source,
                source.fresh,
                valid,
                course,
                groups=[Group(list(net.parameters()))],
                keeper=keeper,
                tell=lambda epoch: None,
            )
        return None

    whole = fit(tmp_path / "whole")
    assert fit(tmp_path / "cut", at=steps + 2) is None
    resumed = fit(tmp_path / "cut")
    assert (resumed.history, resumed.norms) == (whole.history, whole.norms)
    assert all(torch.equal(resumed.best[name], tensor) for name, tensor in whole.best.items())


@pytest.mark.parametrize("name", ["rare", "images"])
def test_train_says_what_it_made_and_keeps_nothing_of_it(request, planned, name):
    world, rule = request.getfixturevalue(name), TABLE if name == "rare" else PICTURE
    policy = dataclasses.replace(QUICK, augment=rule)
    bare = run(world, planned("incremental"), dataclasses.replace(policy, augment=AugmentRule()))
    made = run(world, planned("incremental"), policy)
    again = run(world, planned("incremental"), policy)
    found = finding(made)
    assert made.weights == again.weights != bare.weights
    assert (made.replay, made.train, made.steps) == (bare.replay, bare.train, bare.steps)
    learn = attempt_of(world, policy).start.learn
    assert found.n == len(learn)
    assert found.verdict is Verdict.PASS
    assert not found.enforced
    assert (
        "yes" if name == "rare" else "9"
    ) + f" {min(learn.labels.flatten().long().bincount().tolist())} + " in found.message
    assert made.passes > bare.passes


def test_dealing_hangs_on_nothing_but_the_order(images):
    """So all processes of a team see the same rows, whatever random numbers each has drawn."""
    attempt = attempt_of(images, dataclasses.replace(QUICK, augment=PICTURE))
    source, seen = source_of(attempt), []
    with torch.random.fork_rng(devices=[]):
        for seed in range(2):
            torch.manual_seed(seed)
            state = torch.get_rng_state()
            seen.append(torch.cat([batch.inputs[0] for batch, _ in epoch(source, attempt.course)]))
            assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(*seen)


@pytest.mark.thorough
def test_train_by_two_processes_comes_to_the_weights_of_one(rare, planned):
    world = dataclasses.replace(rare, tools=dataclasses.replace(rare.tools, engine=Local()))
    one = run(world, planned("incremental"), QUICK)
    two = run(world, planned("incremental"), dataclasses.replace(QUICK, workers=2))
    assert (two.steps, two.passes) == (one.steps, one.passes)
    pairs = zip(one.history, two.history, strict=True)
    assert all(mine.loss == pytest.approx(other.loss, rel=1e-4) for mine, other in pairs)


@pytest.mark.parametrize("strategy", ["head", "adapt-stats"])
def test_strategy_without_steps_leaves_it_out_and_says_so(rare, planned, strategy):
    bare = run(rare, planned(strategy), dataclasses.replace(QUICK, augment=AugmentRule()))
    training = run(rare, planned(strategy), QUICK)
    assert training.weights == bare.weights
    assert strategy in finding(training).message
    assert finding(training).passes_if


@pytest.mark.parametrize("kind", ["bagging", "boosting"])
def test_members_of_an_ensemble_see_augmented_rows(rare, planned, kind):
    policy = dataclasses.replace(QUICK, ensemble=EnsembleRule(kind=kind, members=2))
    training = run(rare, planned("warm"), policy)
    assert [found.code for found in training.findings if found.code.startswith(CODE)] == [
        "augment:member 1",
        "augment:member 2",
    ]
    assert training.weights == run(rare, planned("warm"), policy).weights


def test_boosting_asks_the_members_before_about_the_rows_as_they_became(images, monkeypatch):
    boosting = importlib.import_module("instar.stages.train.ensembles.boosting")
    attempt = attempt_of(images, dataclasses.replace(QUICK, augment=PICTURE), "full")
    monkeypatch.setattr(boosting, "so_far", lambda team, inputs: inputs[0].flatten(1)[:, :10] * 3)
    team = type("Team", (), {"ended": [1], "rule": EnsembleRule(kind="boosting")})()
    attempt = boosting.on_the_rest(attempt, team, 0)
    seen = 0
    for batch, fresh in epoch(source_of(attempt), attempt.course):
        image, before = batch.inputs
        torch.testing.assert_close(before, image.flatten(1)[:, :10] * 3)
        seen += fresh
    assert seen > len(attempt.start.learn) + 20


def test_tuning_tries_with_augmented_rows(rare, planned):
    rule = TuneRule(trials=2, sampler="random", space={"lr": [0.001, 0.01]})
    training = run(rare, planned("incremental"), dataclasses.replace(QUICK, tune=rule))
    assert len(training.trials) == 2
    assert finding(training).measured > 0


@pytest.mark.parametrize("name", ["strokes_line", "shapes_line", "marks_line", "diabetes_line"])
def test_other_tasks_learn_from_augmented_rows(request, name):
    world = request.getfixturevalue(name)
    kinds = {"strokes_line": PICTURE.kinds, "shapes_line": ("flip", "scale", "crop")}
    who = "all" if name in ("diabetes_line", "strokes_line") else "rare"
    rule = AugmentRule(kinds=kinds.get(name, ("resample",)), who=who, share=0.5)
    attempt = attempt_of(world, dataclasses.replace(QUICK, augment=rule), "recent")
    [ratio] = [part.augment.ratio for part in attempt.parts if part.augment]
    assert 0 < ratio <= 0.51
    batches = epoch(source_of(attempt), attempt.course)
    rows = len(attempt.start.learn)
    assert sum(len(batch) for batch, _ in batches) == rows + round(rows * ratio)
    batch, lesson, net = batches[0][0], attempt.course.lesson, attempt.start.net
    assert batch.labels.dtype == attempt.start.learn.labels.dtype
    assert torch.isfinite(lesson.cost(net.train(), batch.inputs, batch.labels))


def test_method_refuses_what_the_data_have_nothing_for(rare):
    policy = dataclasses.replace(QUICK, augment=AugmentRule(kinds=("flip",)))
    with pytest.raises(UnfitKind, match=r"flip; take flip out"):
        attempt_of(rare, policy)


def test_where_no_class_is_rare_nothing_is_made(tmp_path, planned):
    frame = coins(600, 1)
    least = min(frame["answer"].value_counts()["count"])
    even = pl.concat([frame.filter(answer=answer).head(least) for answer in ("yes", "no")])
    world = lay_out(tmp_path, frame, even, BINARY, ignore=("leak",))
    learn = attempt_of(world, QUICK).start.learn.labels
    assert learn.mean() == 0.5
    bare = run(world, planned("recent"), dataclasses.replace(QUICK, augment=AugmentRule()))
    training = run(world, planned("recent"), QUICK)
    assert "no class is rarer" in finding(training).message
    assert training.weights == bare.weights
