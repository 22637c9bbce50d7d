"""Who answers, who is counted, and that a request leaves nothing behind, however it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving import desk as module
from instar.serving.connection import Call, Reply
from instar.serving.desk import Desk
from instar.serving.endpoints import Endpoints
from instar.serving.models import Shelf, stock
from instar.serving.slots import Sheet
from instar.testing.bundles import tiny_bundle

OLD, WILD = "model_v20260101_0000", "model_v20260103_0000"
INFER, PINNED = b"/v2/models/m/infer", f"/v2/models/m/versions/{WILD}/infer".encode()


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Shelf]:
    artifacts = DirectoryArtifacts(tmp_path_factory.mktemp("desk") / "artifacts")
    manifests = {
        OLD: tiny_bundle(artifacts, OLD),
        WILD: tiny_bundle(artifacts, WILD, nan_above=5.0, fails_above=50.0),
    }

    def make(shares: dict[str, float], generation: int = 1, champion: str = OLD) -> Shelf:
        return stock(Route("m", generation, shares, manifests, champion), "m", artifacts, None)

    return make


class Scene:
    """A desk without sockets."""

    def __init__(self, shelf: Shelf | None, cache: int = 0) -> None:
        self.sheet = Sheet.anonymous(1)
        self.desk = Desk("m", self.sheet.block(0), cache)
        if shelf:
            self.desk.take(shelf)
        nobody: Any = None
        self.endpoints = Endpoints(self.desk, nobody, nobody, nobody)
        self.replies: list[Reply] = []

    def ask(self, x: Any = 1.0, path: bytes = INFER, **more: Any) -> None:
        tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": [x]}
        body = json.dumps({"inputs": [tensor], **more}).encode()
        self.endpoints.serve(Call(b"POST", path, {}, body), self.replies.append)

    def counted(self, version: str, generation: int) -> list[int]:
        return self.sheet.read()[version][generation].outcomes

    @property
    def statuses(self) -> list[int]:
        return [reply.status for reply in self.replies]


async def turn() -> None:
    for _ in range(4):  # a rescue takes a second turn
        await asyncio.sleep(0)


def test_every_request_leaves_however_it_ends(shelves: Callable[..., Shelf]) -> None:
    async def act() -> None:
        scene = Scene(shelves({OLD: 0.5, WILD: 0.5}))
        for number in range(40):
            scene.ask(id=f"ok {number}")
            scene.ask(10.0, id=f"nan {number}")
            scene.ask(100.0, id=f"fails {number}")
            scene.ask("bad", id=f"bad {number}")
            scene.ask(1e300, id=f"endless {number}")
            scene.ask(100.0, PINNED)
        assert scene.desk.inside > 100
        await turn()
        assert scene.desk.inside == 0
        assert sorted(scene.statuses) == [200] * 120 + [400] * 80 + [500] * 40
        ok, error, invalid = scene.counted(WILD, 1)
        assert ok + error + invalid > 40
        assert error > 5
        assert invalid > 5
        assert scene.desk.rescued[WILD] == error + invalid
        assert scene.counted(WILD, 0) == [0, 40, 0]
        assert scene.counted(OLD, 0) == [error + invalid, 0, 0]
        assert scene.desk.refused == 80

    asyncio.run(act())


def test_more_requests_than_the_lane_takes_are_sent_away(
    shelves: Callable[..., Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", {"predict": 3})

    async def act() -> None:
        scene = Scene(shelves({OLD: 1.0}))
        for _ in range(5):
            scene.ask()
        assert scene.statuses == [429, 429]
        assert dict(scene.replies[0].headers)["retry-after"] == "1"
        await turn()
        scene.ask()
        await turn()
        assert scene.statuses == [429, 429, 200, 200, 200, 200]

    asyncio.run(act())


def test_requests_that_began_on_a_shelf_end_there(shelves: Callable[..., Shelf]) -> None:
    async def act() -> None:
        scene = Scene(shelves({OLD: 1.0}))
        scene.ask()
        scene.desk.take(shelves({WILD: 1.0}, 2, WILD))
        scene.ask()
        await turn()
        versions = [json.loads(reply.body)["model_version"] for reply in scene.replies]
        assert sorted(versions) == [OLD, WILD]
        assert (scene.counted(OLD, 1), scene.counted(WILD, 2)) == ([1, 0, 0], [1, 0, 0])

    asyncio.run(act())


def test_client_that_cannot_be_answered_harms_nobody_in_its_run(
    shelves: Callable[..., Shelf],
) -> None:
    async def act() -> None:
        scene = Scene(shelves({OLD: 1.0}))
        scene.ask()

        def fails(_: Reply) -> None:
            raise OSError

        scene.replies, kept = [], scene.replies
        body = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]}'
        scene.endpoints.serve(Call(b"POST", INFER, {}, body), fails)
        scene.ask()
        await turn()
        assert [reply.status for reply in (*kept, *scene.replies)] == [200, 200]
        assert scene.desk.inside == 0

    asyncio.run(act())


def test_kept_answers_leave_too_and_are_counted(shelves: Callable[..., Shelf]) -> None:
    async def act() -> None:
        scene = Scene(shelves({OLD: 1.0}), cache=5)
        for number in range(6):
            scene.ask(float(number % 2))
            await turn()
        assert scene.statuses == [200] * 6
        assert scene.desk.inside == 0
        assert scene.desk.cache.seen == {"miss": 2, "hit": 4}
        assert scene.counted(OLD, 1) == [6, 0, 0]
        assert scene.sheet.read()[OLD][1].runs == 2

    asyncio.run(act())


def test_desk_without_a_shelf_is_not_ready() -> None:
    scene = Scene(None)
    scene.ask()
    assert scene.statuses == [503]
    assert dict(scene.replies[0].headers)["retry-after"] == "1"


def met(scene: Scene, generation: int = 1) -> dict[str, int]:
    """Say how many units each version met under a route."""
    found = scene.sheet.read()
    return {version: counts[generation].units for version, counts in found.items()}


def test_unit_counts_once_under_each_route_however_often_it_asks(
    shelves: Callable[..., Shelf],
) -> None:
    async def act() -> None:
        scene = Scene(shelves({OLD: 0.5, WILD: 0.5}))
        for number in range(60):
            for _ in range(3):
                scene.ask(id=f"unit {number % 20}")
            scene.ask(id=f"pinned {number}", path=PINNED)
        await turn()
        assert sum(met(scene).values()) == 20
        assert min(met(scene).values()) > 0
        assert met(scene, 0)[WILD] == 0  # who names a version was divided by nobody
        scene.desk.take(shelves({OLD: 0.5, WILD: 0.5}, 2))
        scene.ask(id="unit 1")
        await turn()
        assert sum(met(scene, 2).values()) == 1
        for _ in range(5):
            scene.ask()  # nobody's: each is a unit of its own
        await turn()
        assert sum(met(scene, 2).values()) == 6

    asyncio.run(act())


def test_units_are_counted_by_one_worker_each_and_only_where_they_are_divided(
    shelves: Callable[..., Shelf],
) -> None:
    async def act() -> None:
        several = [Scene(shelves({OLD: 0.5, WILD: 0.5})) for _ in range(3)]
        for place, scene in enumerate(several):
            scene.desk._part = (place, 3)
            for number in range(90):
                scene.ask(id=f"unit {number}")
        await turn()
        parts = [sum(met(scene).values()) for scene in several]
        assert sum(parts) == 90
        assert min(parts) > 10
        alone = Scene(shelves({OLD: 1.0}))
        alone.ask(id="unit 1")
        await turn()
        assert met(alone)[OLD] == 0

    asyncio.run(act())


def test_odd_answers_are_given_and_counted(shelves: Callable[..., Shelf]) -> None:
    async def act() -> None:
        scene = Scene(shelves({OLD: 1.0}))
        floor = scene.desk.floor
        assert floor is not None
        odd = replace(floor.buckets[0], odd=lambda rows: (rows[0][1] > 0.7, False))
        scene.desk.floor = replace(floor, buckets=(odd,) * len(floor.buckets))
        for x in (-3.0, 0.0, 2.0, 3.0):
            scene.ask(x)
        await turn()
        assert scene.statuses == [200] * 4
        counts = scene.sheet.read()[OLD][1]
        assert (counts.outside, counts.empty) == (2, 0)

    asyncio.run(act())
