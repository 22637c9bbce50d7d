from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from instar.core.data import Column, Kind, Preprocessing, Role, Schema, Task, TaskKind
from instar.core.finding import Verdict
from instar.core.policy import WatchPolicy
from instar.core.records import Bundle, ModelVersion, Network, Watch
from instar.core.tools import Route
from instar.stages.watch import SIGNALS, signals, watch
from instar.testing.tools import fake_tools
from instar.testing.traffic import Behaviour, FakeTraffic

NAME = "model_v20260101_0000"
POLICY = WatchPolicy(window=1_000, drop=0.03)
Look = Callable[..., Watch]


def champion(**changes: Any) -> ModelVersion:
    made = ModelVersion(
        name=NAME,
        task=Task(TaskKind.BINARY, "late", ("no", "yes")),
        network=Network(family="mlp"),
        schema=Schema((Column("x", Kind.NUMBER, Role.FEATURE, "Float64"),)),
        preprocessing=Preprocessing(),
        weights="sha256:w",
        bundle=Bundle(NAME, "sha256:b", (), "model.onnx", "fp32", Verdict.PASS, ()),
        train=(),
        holdout=(),
        metrics={"accuracy": 0.80, "auroc": 0.87},
    )
    return replace(made, **changes)


class World:
    def __init__(self, folder: Path) -> None:
        route = Route("m", 1, {NAME: 1.0}, {NAME: "sha256:b"}, NAME)
        self.traffic = FakeTraffic(route, {NAME: Behaviour(noise=0.1)}, seed=3)
        self.tools = fake_tools(folder, traffic=self.traffic)

    def look(self, made: ModelVersion | None = None) -> Watch:
        return watch(made or champion(), None, policy=POLICY, tools=self.tools)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def find(record: Watch, code: str) -> Any:
    return next(f for f in record.findings if f.code == code)


def test_every_signal_has_a_file_and_every_file_a_signal() -> None:
    files = {path.stem for path in Path(signals.__file__).parent.glob("*.py")}
    assert files - {"__init__"} == set(SIGNALS)


def test_watch_measures_the_window_of_late_labels(world: World) -> None:
    world.traffic.serve(2_500)
    now = world.look()
    labelled = world.traffic.labelled(NAME)
    scores, labels = np.array(labelled.scores[-1_000:]), np.array(labelled.labels[-1_000:])
    assert find(now, "live_quality:accuracy").measured == pytest.approx(
        accuracy_score(labels, scores.argmax(axis=1))
    )
    assert find(now, "live_quality:auroc").measured == pytest.approx(
        roc_auc_score(labels, scores[:, 1])
    )
    assert (now.verdict, now.ask, now.window) == (Verdict.PASS, "", 1_000)


def test_watch_asks_for_an_update_when_accuracy_fell(world: World) -> None:
    world.traffic.serve(1_200)
    now = world.look(champion(metrics={"accuracy": 0.95, "auroc": 0.87}))
    accuracy = find(now, "live_quality:accuracy")
    assert (now.verdict, accuracy.verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert "0.9500 on the holdout" in now.ask
    assert accuracy.picture["kind"] == "lines"
    assert len(accuracy.picture["x"]) == len(accuracy.picture["series"][0]["y"])


def test_watch_does_not_take_chance_for_a_fall(world: World) -> None:
    world.traffic.serve(1_000)
    measured = find(world.look(), "live_quality:accuracy").measured
    near = champion(metrics={"accuracy": measured + 0.031, "auroc": 0.87})
    policy = replace(POLICY, window=60)
    found = watch(near, None, policy=policy, tools=world.tools)
    accuracy = find(found, "live_quality:accuracy")
    assert accuracy.verdict is Verdict.PASS or accuracy.interval.high < measured + 0.031


def test_watch_says_how_many_labels_are_missing(world: World) -> None:
    world.traffic.serve(300)
    now = world.look()
    assert (now.verdict, find(now, "live_quality:accuracy").labels_needed) == (
        Verdict.INCONCLUSIVE,
        700,
    )


def test_watch_without_labels_is_inconclusive(world: World) -> None:
    world.traffic.serve(3_000, labels=False)
    assert world.look().verdict is Verdict.INCONCLUSIVE


def test_watch_without_a_promise_is_an_error(world: World) -> None:
    world.traffic.serve(1_200)
    now = world.look(champion(metrics={}))
    assert now.verdict is Verdict.ERROR
    assert now.ask == ""


def logits(world: World, values: Any) -> str:
    file = io.BytesIO()
    np.save(file, np.asarray(values, np.float32).reshape(-1, 1))
    return world.tools.artifacts.put(file.getvalue())


def test_score_drift_compares_with_the_training_rows(world: World) -> None:
    world.traffic.serve(3_000)
    live = np.array(world.traffic.scores(NAME))[:, 1].clip(1e-6, 1 - 1e-6)
    same = champion(replay_logits=logits(world, np.log(live / (1 - live))))
    assert find(world.look(same), "score_drift").measured == pytest.approx(0.0, abs=0.01)

    other = champion(replay_logits=logits(world, np.random.default_rng(0).normal(3, 0.1, 500)))
    now = world.look(other)
    drift = find(now, "score_drift")
    assert (drift.verdict, drift.enforced) == (Verdict.FAIL, False)
    assert now.verdict is Verdict.PASS
    assert "PSI" in now.ask


def test_watch_of_a_silent_gateway_is_an_error(world: World) -> None:
    world.traffic.silent = True
    now = world.look()
    assert (now.verdict, now.findings[0].code) == (Verdict.ERROR, "gateway")


def test_watch_without_a_gateway_is_an_error(tmp_path: Path) -> None:
    now = watch(champion(), None, policy=POLICY, tools=fake_tools(tmp_path))
    assert now.verdict is Verdict.ERROR


def test_watch_of_a_regression_measures_r2(world: World) -> None:
    made = champion(task=Task(TaskKind.REGRESSION, "y"), metrics={"r2": 0.9})
    random = np.random.default_rng(0)
    labels = random.normal(size=1_000)
    labelled = replace(
        world.traffic.labelled(NAME),
        scores=(labels + random.normal(0, 0.1, 1_000))[:, None].tolist(),
        labels=labels.tolist(),
    )
    world.traffic.labelled = lambda *_: labelled
    assert find(world.look(made), "live_quality:r2").measured == pytest.approx(0.99, abs=0.005)
