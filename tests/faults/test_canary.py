"""A candidate that fails in production: what its clients see, and how it goes home."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from instar.core.codec import encode
from instar.core.digest import digest_json
from instar.core.finding import Verdict
from instar.core.policy import ReleasePolicy, ServeSettings, ShadowRule, StepRule
from instar.core.records import (
    Approval,
    Bundle,
    ModelVersion,
    Network,
    Phase,
    Release,
    Validation,
)
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving.client import Gateway, GatewayTraffic, start
from instar.serving.routing import Router
from instar.serving.slots import Sheet
from instar.stages.release import release
from instar.testing.bundles import PREPROCESSING, SCHEMA, TASK, tiny_bundle
from instar.testing.tools import fake_tools
from tests.stages.release.conftest import REQUEST

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
STEPS = (StepRule(share=0.5, requests=5_000),)


def bundle(name: str, manifest: str) -> Bundle:
    return Bundle(name, manifest, (), "model.onnx", "fp32", Verdict.PASS, ())


@dataclass
class Canary:
    """A release before a gateway of two workers, whose requests a test sends."""

    folder: Path
    gateway: Gateway
    traffic: GatewayTraffic
    champion: ModelVersion
    candidate: Bundle
    policy: ReleasePolicy
    last: Release | None = None
    answered: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def tick(self) -> Release:
        validation = Validation(Verdict.PASS, (), self.candidate.manifest, {}, {})
        judged = digest_json(encode(validation))
        approval = Approval(Verdict.PASS, (), (), self.candidate.manifest, judged, "sha256:p")
        kept = DirectoryArtifacts(self.folder / "artifacts")
        tools = replace(fake_tools(self.folder, traffic=self.traffic), artifacts=kept)
        self.last = release(
            replace(REQUEST, task=TASK),
            self.champion,
            self.candidate,
            validation,
            approval,
            (),
            self.last,
            policy=self.policy,
            tools=tools,
        )
        return self.last

    def ask(self, x: float, unit: str = "") -> None:
        """Ask over a connection of its own, which either worker may take."""
        tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": [x]}
        place = urlsplit(self.gateway.url)
        line = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
        try:
            headers = {"x-unit-id": unit} if unit else {}
            line.request("POST", "/v2/models/m/infer", json.dumps({"inputs": [tensor]}), headers)
            answer = line.getresponse()
            found = json.loads(answer.read())
        except (OSError, http.client.HTTPException) as error:
            self.failed.append(repr(error))
            return
        finally:
            line.close()
        if answer.status == 200:
            self.answered.append(found["model_version"])
        else:
            self.failed.append(found["error"])

    def run(self, x: float, patience_s: float = 60.0) -> Release:
        """Ask and look in turns until the release has ended."""
        end = time.monotonic() + patience_s
        while (now := self.tick()).phase is not Phase.ROLLED_BACK:
            assert time.monotonic() < end, now
            for _ in range(10):
                self.ask(x)
        return now


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Callable[..., Canary]]:
    begun: list[Gateway] = []

    def begin(**more: Any) -> Canary:
        shadow = more.pop("shadow", ShadowRule())
        policy = ReleasePolicy(steps=STEPS, trip_requests=10, shadow=shadow)
        artifacts = DirectoryArtifacts(tmp_path / "artifacts")
        manifests = {OLD: tiny_bundle(artifacts, OLD), NEW: tiny_bundle(artifacts, NEW, **more)}
        traffic = GatewayTraffic(tmp_path, "m")
        traffic.put(Route("m", 1, {OLD: 1.0}, {OLD: manifests[OLD]}, OLD))
        begun.append(start(tmp_path, "m", how=ServeSettings(workers=2, hang_s=1.0)))
        champion = ModelVersion(
            name=OLD,
            task=TASK,
            network=Network(family="mlp"),
            schema=SCHEMA,
            preprocessing=PREPROCESSING,
            weights="sha256:w",
            bundle=bundle(OLD, manifests[OLD]),
            train=(),
            holdout=(),
        )
        candidate = bundle(NEW, manifests[NEW])
        return Canary(tmp_path, begun[0], traffic, champion, candidate, policy)

    yield begin
    for gateway in begun:
        gateway.stop()


def home(scene: Canary) -> None:
    """Assert that all traffic is with the champion, and everybody is answered."""
    assert scene.traffic.route().shares == {OLD: 1.0}
    scene.answered.clear()
    scene.failed.clear()
    for _ in range(20):
        scene.ask(1.0)
    assert (set(scene.answered), scene.failed) == ({OLD}, [])


def test_candidate_that_hangs_goes_home_with_the_worker_that_it_hung(
    canary: Callable[..., Canary],
) -> None:
    scene = canary(hangs_above=5.0)
    now = scene.run(10.0)
    assert "crashes:" in now.reason
    # Who asked the one that hung lost their answer; nobody else's is wrong.
    assert set(scene.answered) <= {OLD}
    assert scene.traffic.served(now.generation)[NEW].errors >= 1
    home(scene)


def test_candidate_that_hangs_in_the_shadow_takes_no_answer_with_it(
    canary: Callable[..., Canary],
) -> None:
    scene = canary(hangs_above=5.0, shadow=ShadowRule(share=1.0, requests=5_000))
    now = scene.run(10.0, 200.0)  # what runs a shadow comes last on a busy machine
    assert "crashes:" in now.reason
    assert now.step == 0
    assert (set(scene.answered), scene.failed) == ({OLD}, [])
    home(scene)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"nan_above": 5.0}, "invalid:"), ({"fails_above": 5.0}, "fail")],
    ids=["nan", "raises"],
)
def test_candidate_that_answers_nonsense_or_raises_goes_home_and_costs_no_answer(
    canary: Callable[..., Canary], wrong: dict[str, float], reason: str
) -> None:
    scene = canary(**wrong)
    now = scene.run(10.0)
    assert reason in now.reason
    assert (set(scene.answered), scene.failed) == ({OLD}, [])
    home(scene)


def test_candidate_whose_process_is_killed_in_it_goes_home(canary: Callable[..., Canary]) -> None:
    """A crash of the process, told by who ran when it ended."""
    scene = canary(hangs_above=5.0)
    assert scene.tick().phase is Phase.STEP
    pids = {one["slot"]: one["pid"] for one in scene.traffic.status()["workers"]}
    blocks = Sheet.open(scene.folder, 2).blocks
    router = Router(scene.traffic.route())
    unit = next(u for u in map(str, range(100)) if router.version(u) == NEW)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(scene.ask, 10.0, unit)
        end = time.monotonic() + 30
        while not (stuck := [slot for slot in pids if blocks[slot]._words[5]]):
            assert time.monotonic() < end
            time.sleep(0.05)
        for slot in stuck:
            os.kill(pids[slot], signal.SIGKILL)
    now = scene.run(1.0)
    assert "crashes:" in now.reason
    home(scene)


def test_canary_without_figures_is_neither_passed_nor_promoted(
    canary: Callable[..., Canary],
) -> None:
    scene = canary()
    assert scene.tick().phase is Phase.STEP
    for _ in range(3):  # nobody asks: there is nothing to judge by
        now = scene.tick()
        assert (now.phase, now.step, now.verdict) == (Phase.STEP, 1, Verdict.INCONCLUSIVE)
    assert "more requests" in now.reason
    office = scene.gateway.pid
    os.kill(office, signal.SIGSTOP)  # who counts does not answer
    try:
        now = scene.tick()
        assert (now.phase, now.step, now.verdict) == (Phase.STEP, 1, Verdict.ERROR)
        scene.ask(1.0)  # predictions go on
        assert scene.failed == []
    finally:
        os.kill(office, signal.SIGCONT)
    assert scene.traffic.route().shares == {OLD: 0.5, NEW: 0.5}
    assert scene.tick().verdict is Verdict.INCONCLUSIVE
