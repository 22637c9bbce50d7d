"""Equal questions are computed once: in one worker, and among several where a row is dear."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from instar.bundle.runtime import ServedBundle
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving import recall
from instar.serving.batching import Runner
from instar.serving.connection import Call, Reply
from instar.serving.desk import Desk
from instar.serving.endpoints import Endpoints
from instar.serving.models import Shelf, stock
from instar.serving.redis import Redis
from instar.serving.slots import Sheet
from instar.testing.bundles import tiny_bundle
from tests.servers.valkey import Server, running

OLD, WILD = "model_v20260101_0000", "model_v20260103_0000"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Shelf]:
    artifacts = DirectoryArtifacts(tmp_path_factory.mktemp("recall") / "artifacts")
    manifests = {
        OLD: tiny_bundle(artifacts, OLD),
        WILD: tiny_bundle(artifacts, WILD, nan_above=5.0, fails_above=50.0),
    }

    def make(name: str = OLD, cost_s: float = 1e-5) -> Shelf:
        made = stock(Route("m", 1, {name: 1.0}, manifests, OLD), "m", artifacts, None)
        return replace(
            made, versions={n: replace(v, cost_s=cost_s) for n, v in made.versions.items()}
        )

    return make


class Scene:
    """A desk without sockets, that counts how many rows its bundle computes."""

    def __init__(self, shelf: Shelf, redis: Redis | None = None) -> None:
        self.sheet = Sheet.anonymous(1)
        self.desk = Desk("m", self.sheet.block(0), 100, redis=redis)
        self.desk.take(shelf)
        nobody: Any = None
        self.endpoints = Endpoints(self.desk, nobody, nobody, nobody)
        self.replies: list[Reply] = []

    def ask(self, x: float = 1.0, **headers: str) -> None:
        tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": [x]}
        told = {k.replace("_", "-").encode(): v.encode() for k, v in headers.items()}
        body = json.dumps({"inputs": [tensor]}).encode()
        self.endpoints.serve(Call(b"POST", b"/v2/models/m/infer", told, body), self.replies.append)

    async def answers(self, count: int) -> list[float]:
        async with asyncio.timeout(20):
            while len(self.replies) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert self.desk.inside == 0
        found = [json.loads(reply.body) for reply in self.replies]
        return [one["outputs"][0]["data"][1] if "outputs" in one else -1.0 for one in found]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all runs from here on; each takes its time where it is in a thread."""
    seen: list[int] = []
    real = ServedBundle.together

    def counted(bundle: ServedBundle, pieces: Sequence[Any]) -> Any:
        seen.append(len(pieces))
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.05)
        return real(bundle, pieces)

    monkeypatch.setattr(ServedBundle, "together", counted)
    return seen


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Redis]:
    redis = Redis(server.url, 0.5)
    redis.start()
    try:
        async with asyncio.timeout(20):
            while not redis.up:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield redis
    finally:
        await redis.stop()


@pytest.mark.parametrize("cost_s", [1e-5, 0.01], ids=["light", "heavy"])
def test_equal_questions_at_once_are_computed_once(
    shelves: Callable[..., Shelf], runs: list[int], cost_s: float
) -> None:
    async def act() -> None:
        scene = Scene(shelves(cost_s=cost_s))
        for _ in range(50):
            scene.ask()
        scene.ask(2.0)
        answers = await scene.answers(51)
        assert sorted(set(answers)) == pytest.approx([0.73106, 0.88080], abs=1e-4)
        assert answers.count(max(answers)) == 1
        assert sum(runs) == 2
        assert scene.desk.cache.seen == {"miss": 51, "joined": 49}
        assert scene.sheet.read()[OLD][1].outcomes == [51, 0, 0]

    asyncio.run(act())


def test_those_who_wait_for_a_question_that_fails_are_answered_by_the_champion(
    shelves: Callable[..., Shelf],
) -> None:
    async def act() -> None:
        scene = Scene(shelves(WILD))
        for x in [10.0] * 5 + [100.0] * 5:
            scene.ask(x)
        assert len(await scene.answers(10)) == 10
        assert {reply.status for reply in scene.replies} == {200}
        assert scene.sheet.read()[WILD][1].outcomes == [0, 5, 5]
        assert scene.desk._recall._flights == {}

    asyncio.run(act())


def test_who_is_in_haste_takes_nobody_else_down(
    shelves: Callable[..., Shelf], runs: list[int]
) -> None:
    async def act() -> None:
        scene = Scene(shelves(cost_s=0.01))
        scene.ask(7.0)  # the thread is busy
        scene.ask(x_timeout_ms="15")  # waits in the queue for longer than it wants to
        for _ in range(5):
            scene.ask()
        answers = await scene.answers(7)
        assert sorted(answers)[:1] == [-1.0]
        assert [reply.status for reply in scene.replies].count(200) == 6
        assert scene.desk._recall._flights == {}

    asyncio.run(act())


def test_jobs_that_wait_on_a_route_that_goes_are_answered(
    shelves: Callable[..., Shelf], runs: list[int]
) -> None:
    async def act() -> None:
        scene = Scene(shelves(WILD, cost_s=0.01))
        for x in range(20):
            scene.ask(x / 10)
        scene.desk.take(shelves(cost_s=0.01))
        assert -1.0 not in await scene.answers(20)
        assert scene.sheet.read()[WILD][1].outcomes == [20, 0, 0]

    asyncio.run(act())


def test_what_one_worker_answered_another_finds(
    shelves: Callable[..., Shelf], runs: list[int], server: Server
) -> None:
    server.client.flushall()

    async def act() -> None:
        async with connected(server) as redis:
            first, second = Scene(shelves(), redis), Scene(shelves(), redis)
            for scene in (first, second):
                scene.ask()
                await scene.answers(1)
            assert first.replies == second.replies
            assert sum(runs) == 1
            assert first.desk.cache.seen == {"miss": 1, "unshared": 1}
            assert second.desk.cache.seen == {"miss": 1, "shared": 1}
            second.ask()
            await second.answers(2)
            assert second.desk.cache.seen["hit"] == 1
        (key,) = server.client.keys("*")
        assert key.startswith(b"instar:")
        assert 0 < server.client.ttl(key) <= recall.KEPT_S

    asyncio.run(act())


def test_workers_agree_on_who_computes_what_is_dear(
    shelves: Callable[..., Shelf], runs: list[int], server: Server
) -> None:
    server.client.flushall()

    async def act() -> None:
        async with connected(server) as one, connected(server) as two, connected(server) as three:
            scenes = [Scene(shelves(cost_s=0.1), redis) for redis in (one, two, three)]
            for scene in scenes:
                for _ in range(10):
                    scene.ask()
            answers = [await scene.answers(10) for scene in scenes]
            assert len({answer for each in answers for answer in each}) == 1
            assert sum(runs) == 1
            assert sum(scene.desk.cache.seen["waited"] for scene in scenes) == 2
            assert [key for key in server.client.keys("*") if key.endswith(b":claim")] == []

    asyncio.run(act())


def test_claim_of_a_worker_that_died_holds_nobody_for_long(
    shelves: Callable[..., Shelf], runs: list[int], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.client.flushall()
    monkeypatch.setattr(Runner, "submit", lambda *_: None)  # it never answers

    async def act() -> None:
        async with connected(server) as one, connected(server) as two:
            dead = Scene(shelves(cost_s=0.01), one)
            dead.ask()
            while not server.client.keys("*:claim"):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            monkeypatch.undo()
            scene = Scene(shelves(cost_s=0.01), two)
            scene.ask()
            assert await scene.answers(1) == pytest.approx([0.73106], abs=1e-4)

    asyncio.run(act())


def test_value_is_taken_for_an_answer_only_by_its_own_question_and_bundle() -> None:
    scores = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    value = recall.pack(b"key", "sha256:a", scores)
    found = recall.unpack(b"key", "sha256:a", value)
    assert found is not None
    np.testing.assert_array_equal(found, scores)
    assert recall.unpack(b"key", "sha256:b", value) is None
    assert recall.unpack(b"other", "sha256:a", value) is None
    for place in range(len(value)):
        flipped = bytearray(value)
        flipped[place] ^= 1
        assert recall.unpack(b"key", "sha256:a", bytes(flipped)) is None
    for end in range(len(value)):
        assert recall.unpack(b"key", "sha256:a", value[:end]) is None
