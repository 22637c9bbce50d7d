"""A release over the real gateway, under load, with labels that come late."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from instar.core.codec import encode
from instar.core.data import Snapshot
from instar.core.digest import digest_json
from instar.core.finding import Verdict
from instar.core.policy import ReleasePolicy, StepRule
from instar.core.records import (
    Approval,
    Bundle,
    ModelVersion,
    Network,
    Phase,
    Release,
    Request,
    Validation,
)
from instar.stages.release import release, rollback
from instar.testing.bundles import PREPROCESSING, SCHEMA, TASK, tiny_bundle
from instar.testing.tools import fake_tools

OLD, NEW = "model_v20260101_0000", "model_v20260109_0000"
POLICY = ReleasePolicy(
    steps=(
        StepRule(share=0.2, requests=50, labels=30),
        StepRule(share=0.5, requests=150, labels=100),
    )
)


def bundle(version: str, manifest: str) -> Bundle:
    return Bundle(version, manifest, (), "model.onnx", "fp32", Verdict.PASS, ())


class Handover:
    """One release, from the tiny champion to a candidate made for the test."""

    def __init__(self, house: Any, folder: Path, **candidate: Any) -> None:
        from instar.ledger.artifacts import DirectoryArtifacts

        self.house = house
        manifest = tiny_bundle(DirectoryArtifacts(house.root / "artifacts"), NEW, **candidate)
        house.manifests[NEW] = manifest
        self.candidate = bundle(NEW, manifest)
        self.champion = ModelVersion(
            name=OLD,
            task=TASK,
            network=Network(family="mlp"),
            schema=SCHEMA,
            preprocessing=PREPROCESSING,
            weights="sha256:w",
            bundle=bundle(OLD, house.manifests[OLD]),
            train=(),
            holdout=(),
        )
        self.validation = Validation(Verdict.PASS, (), manifest, {}, {})
        judged = digest_json(encode(self.validation))
        self.approval = Approval(Verdict.PASS, (), (), manifest, judged, "sha256:p")
        self.request = Request(
            update="u0001",
            model="m",
            reason="",
            by="ada",
            fresh=Snapshot("sha256:s", 1, SCHEMA, "fresh.csv"),
            task=TASK,
            network=Network(family="mlp"),
            features=("x", "y", "colour"),
            policy="sha256:p",
            seed=0,
            champion=OLD,
        )
        self.tools = replace(fake_tools(folder), traffic=house.traffic)

    def run(self, patience_s: float = 120.0) -> list[Release]:
        records: list[Release] = []
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            last = records[-1] if records else None
            records.append(
                release(
                    self.request,
                    self.champion,
                    self.candidate,
                    self.validation,
                    self.approval,
                    (),
                    last,
                    policy=POLICY,
                    tools=self.tools,
                )
            )
            if records[-1].phase in (Phase.PROMOTED, Phase.ROLLED_BACK):
                break
            time.sleep(0.1)
        return records


@contextmanager
def world(url: str, *, x: float = 1.0) -> Iterator[list[str]]:
    """Ask, and send the truth a little later. The truth is what the champion says, by chance."""
    stop, wrong = threading.Event(), []

    def ask(seed: int) -> None:
        chance = random.Random(seed)
        with httpx.Client(base_url=url, timeout=10) as http:
            late: list[dict[str, str]] = []
            for number in range(10**6):
                if stop.is_set():
                    return
                row = {"x": x * chance.uniform(-2, 2), "y": chance.uniform(-2, 2)}
                name = f"{time.monotonic_ns()}-{seed}-{number}"
                answer = http.post("/v2/models/m/predict", json={"id": name, "rows": [row]})
                if answer.status_code != 200:
                    wrong.append(answer.text)
                truth = chance.random() < 1 / (1 + 2.718281828 ** (row["y"] - row["x"]))
                late.append({"id": name, "label": "yes" if truth else "no"})
                if len(late) == 20:
                    http.post("/api/v1/feedback", json={"items": late})
                    late = []

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    yield wrong
    stop.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def handover(alone: Any, tmp_path: Path) -> Callable[..., Handover]:
    return lambda **candidate: Handover(alone, tmp_path, **candidate)


def test_good_candidate_is_promoted_and_taken_back_by_hand(
    handover: Callable[..., Handover],
) -> None:
    scene = handover(bias=0.05)
    with world(scene.house.gateway.url) as wrong:
        records = scene.run()
        assert records[-1].phase is Phase.PROMOTED
        assert scene.house.traffic.status()["champion"] == NEW
        assert records[0].rehearsed_s is not None
        assert records[0].rehearsed_s < 1.0
        assert rollback(scene.house.traffic, scene.champion) < 1.0
        assert scene.house.traffic.status()["shares"] == {OLD: 1.0}
    assert wrong == []


def test_candidate_that_is_worse_live_is_rolled_back_by_itself(
    handover: Callable[..., Handover],
) -> None:
    scene = handover(weights=(-1.0, 1.0))
    with world(scene.house.gateway.url) as wrong:
        records = scene.run()
    last = records[-1]
    quality = next(f for f in last.findings if f.code == "quality")
    assert (last.phase, quality.verdict) == (Phase.ROLLED_BACK, Verdict.FAIL)
    assert scene.house.traffic.status()["shares"] == {OLD: 1.0}
    assert last.rollback_s is not None
    assert last.rollback_s < 1.0
    assert last.requests < 1_000
    assert wrong == []


def test_candidate_that_answers_nan_harms_nobody(handover: Callable[..., Handover]) -> None:
    scene = handover(nan_above=1.5)
    with world(scene.house.gateway.url) as wrong:
        records = scene.run()
    assert records[-1].phase is Phase.ROLLED_BACK
    assert "invalid" in records[-1].reason
    assert wrong == []
