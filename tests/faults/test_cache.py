"""F29 to F31: a cache that is gone, slow, flushed or wrong, and everybody at once."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import valkey

from instar.core.policy import ServeSettings
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving.client import Gateway, GatewayTraffic, start
from instar.testing.bundles import tiny_bundle
from tests.servers.valkey import Server, running

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
SCORE = {OLD: 0.73106, NEW: 0.88080}  # sigmoid(1), sigmoid(1 + 1)


class House:
    """A gateway of one worker, with a Redis."""

    def __init__(self, root: Path, url: str, workers: int = 1) -> None:
        artifacts = DirectoryArtifacts(root / "artifacts")
        manifests = {OLD: tiny_bundle(artifacts, OLD), NEW: tiny_bundle(artifacts, NEW, bias=1.0)}
        self.root, self.manifests, self.traffic = root, manifests, GatewayTraffic(root, "m")
        self.traffic.put(Route("m", 1, {OLD: 1.0}, manifests, OLD, warm=(NEW,)))
        self.gateway: Gateway = start(
            root, "m", how=ServeSettings(workers=workers, cache=1, redis=url)
        )
        self.version = OLD
        self.http = httpx.Client(base_url=self.gateway.url, timeout=20)

    def ask(self, y: float) -> None:
        """Ask; the answer is right, whatever happens."""
        inputs = [
            {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
            for name, value in (("x", 1.0 + y), ("y", y))
        ]
        answer = self.http.post("/v2/models/m/infer", json={"inputs": inputs})
        answer.raise_for_status()
        assert answer.json()["model_version"] == self.version
        score = answer.json()["outputs"][0]["data"][1]
        assert score == pytest.approx(SCORE[self.version], abs=1e-4)

    def seen(self) -> dict[str, int]:
        """What became of questions, and how many runs there were."""
        found = {}
        for line in self.http.get("/metrics").text.splitlines():
            name, _, count = line.rpartition(" ")
            if name.startswith("instar_cache_total"):
                found[name.split('outcome="')[1].split('"')[0]] = int(count)
            elif name.startswith("instar_runs_total"):
                found[name.split('version="')[1].split('"')[0]] = int(count)
        return found

    def until(self, outcome: str) -> None:
        """Ask until a question ends like that. The worker keeps one answer: it forgets the other.

        Redis gets 5 ms, which a machine that others use may not give it: not every question ends
        in the same way.
        """
        before, end = self.seen().get(outcome, 0), time.monotonic() + 30
        while self.seen().get(outcome, 0) == before:
            assert time.monotonic() < end
            for y in (0.0, 1.0):
                self.ask(y)

    def kept(self, server: Server, count: int, wanted: Any = None) -> dict[bytes, bytes]:
        """Ask until Redis keeps so many answers, or those."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for y in (0.0, 1.0):
                self.ask(y)
            with contextlib.suppress(valkey.ResponseError):  # a list stands there
                found = {key: server.client.get(key) for key in server.client.keys("*")}
                if len(found) == count and wanted in (None, found):
                    return found
        raise AssertionError(count)

    def close(self) -> None:
        self.http.close()
        assert self.gateway.stop() == 0


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as found:
        yield found


@pytest.fixture
def house(tmp_path: Path, server: Server) -> Iterator[House]:
    made = House(tmp_path, server.url)
    yield made
    made.close()


def test_predictions_go_on_while_redis_dies_hangs_is_flushed_and_comes_back(
    house: House, server: Server
) -> None:
    house.until("shared")
    server.client.flushall()
    house.until("unshared")
    house.until("shared")
    server.freeze()  # connections stand, and nothing is answered
    house.until("away")
    server.thaw()
    house.until("shared")
    server.kill()
    house.until("away")
    server.start()
    house.until("shared")
    said = (house.root / "serve" / "gateway.err").read_text()
    assert said.count("predictions go on without it") == 1  # one line a minute


def test_redis_that_is_not_there_at_the_start_is_taken_up_when_it_comes(tmp_path: Path) -> None:
    server = Server()
    house = House(tmp_path, server.url)
    try:
        house.until("away")
        server.start()
        house.until("shared")
    finally:
        house.close()
        server.kill()


def garbage(values: dict[bytes, bytes]) -> dict[str, dict[bytes, Any]]:
    """What may stand in the place of the answers to two questions."""
    (one, first), (two, second) = values.items()
    return {
        "empty": dict.fromkeys(values, b""),
        "text": dict.fromkeys(values, b"<html>504</html>"),
        "cut": {key: value[:-1] for key, value in values.items()},
        "longer": {key: value + b"\0" for key, value in values.items()},
        "another question's": {one: second, two: first},
        "a flipped bit": {one: first[:-1] + bytes([first[-1] ^ 1]), two: second},
        "huge": dict.fromkeys(values, b"x" * (3 << 20)),
    }


def test_garbage_and_other_answers_are_misses(house: House, server: Server) -> None:
    sound = house.kept(server, 2)
    for values in garbage(sound).values():
        for key, value in values.items():
            server.client.set(key, value)
        house.until("garbled" if any(values.values()) else "unshared")
        # What was computed, and is right, takes the garbage's place.
        assert house.kept(server, 2, sound) == sound
    for key in sound:
        server.client.delete(key)
        server.client.lpush(key, b"a list")
    house.until("unshared")
    assert house.kept(server, 2, sound) == sound


def test_answers_of_another_version_are_misses(house: House, server: Server) -> None:
    old = house.kept(server, 2)
    house.version = NEW
    house.traffic.move(Route("m", 2, {NEW: 1.0}, house.manifests, NEW))
    new = house.kept(server, 4).keys() - old.keys()
    for key, value in zip(new, old.values(), strict=True):
        server.client.set(key, value)
    house.until("garbled")


def test_everybody_who_asks_at_once_after_a_promotion_costs_one_run_a_worker(
    tmp_path: Path, server: Server
) -> None:
    house = House(tmp_path, server.url, workers=2)
    try:
        house.ask(0.0)
        house.traffic.move(Route("m", 2, {NEW: 1.0}, house.manifests, NEW))

        def client(_: int) -> None:
            place = urlsplit(house.gateway.url)
            line = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
            for _ in range(10):
                x = {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}
                line.request("POST", "/v2/models/m/infer", json.dumps({"inputs": [x]}))
                found = json.loads(line.getresponse().read())
                assert found["model_version"] == NEW
                assert found["outputs"][0]["data"][1] == pytest.approx(SCORE[NEW], abs=1e-4)
            line.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(client, range(8)))
        seen = house.seen()
        assert 1 <= seen[NEW] <= 2
        assert house.traffic.served()[NEW].requests == 80
        assert sum(seen.get(one, 0) for one in ("hit", "joined", "shared")) >= 78
    finally:
        house.close()
