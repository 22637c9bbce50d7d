from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving.client import Gateway, GatewayTraffic, start
from instar.testing.bundles import tiny_bundle

collect_ignore = ["kserve_asks.py"]  # a program for another environment

OLD, NEW, WILD = "model_v20260101_0000", "model_v20260102_0000", "model_v20260103_0000"


def body(x: float = 1.0, name: str | None = None) -> dict[str, Any]:
    """An inference request of one row."""
    inputs = [
        {"name": "x", "shape": [1], "datatype": "FP64", "data": [x]},
        {"name": "y", "shape": [1], "datatype": "FP32", "data": [0.5]},
        {"name": "colour", "shape": [1], "datatype": "BYTES", "data": ["red"]},
    ]
    return {"inputs": inputs} if name is None else {"id": name, "inputs": inputs}


@dataclass
class House:
    """A gateway with three sealed bundles, and a client of each kind."""

    root: Path
    manifests: dict[str, str]
    gateway: Gateway
    traffic: GatewayTraffic
    http: httpx.Client

    def route(self, shares: dict[str, float], **more: Any) -> Route:
        return Route(
            "m",
            self.traffic.route().generation + 1,
            shares,
            self.manifests,
            more.pop("champion", OLD),
            **more,
        )

    def move(self, shares: dict[str, float], **more: Any) -> float:
        return self.traffic.move(self.route(shares, **more))

    def infer(self, name: str | None = None, x: float = 1.0, **more: Any) -> Any:
        answer = self.http.post("/v2/models/m/infer", json=body(x, name), **more)
        answer.raise_for_status()
        return answer.json()


def build(root: Path) -> dict[str, str]:
    artifacts = DirectoryArtifacts(root / "artifacts")
    return {
        OLD: tiny_bundle(artifacts, OLD),
        NEW: tiny_bundle(artifacts, NEW, bias=1.0),
        WILD: tiny_bundle(artifacts, WILD, nan_above=5.0, fails_above=50.0),
    }


def opened(root: Path) -> House:
    manifests = build(root)
    traffic = GatewayTraffic(root, "m")
    traffic.put(Route("m", 1, {OLD: 1.0}, manifests, OLD))
    gateway = start(root, "m")
    return House(root, manifests, gateway, traffic, httpx.Client(base_url=gateway.url, timeout=10))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = opened(tmp_path_factory.mktemp("gateway"))
    yield house
    house.http.close()
    assert house.gateway.stop() == 0


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[House]:
    """A gateway of the test's own, which it may kill."""
    house = opened(tmp_path)
    yield house
    house.http.close()
    house.gateway.stop()


@pytest.fixture
def house(shared: House) -> House:
    """The module's gateway, all traffic with the old version."""
    shared.move({OLD: 1.0})
    return shared


@dataclass
class Load:
    """Clients that ask until told to stop; what went wrong is kept."""

    url: str
    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, seed: int) -> None:
        with httpx.Client(base_url=self.url, timeout=10) as http:
            number = 0
            while not self.stop.is_set():
                number += 1
                try:
                    answer = http.post("/v2/models/m/infer", json=body(1.0, f"{seed}-{number}"))
                except httpx.HTTPError as error:
                    self.wrong.append(repr(error))
                    continue
                if answer.status_code != 200:
                    self.wrong.append(answer.text)
                else:
                    self.versions.add(answer.json()["model_version"])
                self.answered += 1


@pytest.fixture
def load() -> Iterator[Callable[[str], Load]]:
    pool, loads = ThreadPoolExecutor(4), []

    def begin(url: str) -> Load:
        made = Load(url)
        loads.append(made)
        for seed in range(4):
            pool.submit(made.ask, seed)
        return made

    yield begin
    for made in loads:
        made.stop.set()
    pool.shutdown()
