from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from instar.bundle.columns import Piece
from instar.core.policy import ServeSettings
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving.cache import Cache
from instar.serving.client import GatewayTraffic, start
from instar.testing.bundles import tiny_bundle

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
PIECE = Piece(1, [1.0, 2.0], ["a", "bc"], None)


def test_key_is_of_everything_that_the_graph_takes() -> None:
    cache = Cache(10)
    image = np.zeros((1, 2, 2), np.uint8)
    questions = [
        ("m", PIECE),
        ("n", PIECE),
        ("m", PIECE._replace(numbers=[2.0, 1.0])),
        ("m", PIECE._replace(numbers=[1.0, None])),
        ("m", PIECE._replace(numbers=[1.0, -0.0])),
        ("m", PIECE._replace(numbers=[1.0, 0.0])),
        ("m", PIECE._replace(strings=["ab", "c"])),
        ("m", PIECE._replace(strings=["a", "bc", ""])),
        ("m", PIECE._replace(image=image)),
        ("m", PIECE._replace(image=image + 1)),
        ("m", Piece(2, [1.0, 2.0], ["a", "bc"], None)),
    ]
    keys = [cache.key(manifest, piece) for manifest, piece in questions]
    assert len(set(keys)) == len(questions)
    assert b"" not in keys


def test_same_values_have_one_key_however_they_came() -> None:
    cache = Cache(10)
    for numbers in ([1, 2], np.array([[1.0, 2.0]]), np.array([[1.0, 2.0]], np.float32)):
        assert cache.key("m", PIECE._replace(numbers=numbers)) == cache.key("m", PIECE)
    missing = [PIECE._replace(numbers=[1.0, value]) for value in (None, math.nan)]
    assert cache.key("m", missing[0]) == cache.key("m", missing[1])


def test_what_is_not_kept_has_no_key() -> None:
    assert Cache(0).key("m", PIECE) == b""
    assert Cache(1).key("m", PIECE._replace(numbers=["x", 1.0])) == b""
    assert Cache(1).key("m", Piece(100, [1.0] * 200, ["a"] * 200, None)) == b""


def test_least_recently_used_goes_first() -> None:
    cache = Cache(2)
    one = np.ones((1, 1), np.float32)
    for key in (b"a", b"b"):
        cache.put(key, one)
    assert cache.get(b"a") is not None
    cache.put(b"c", one)
    assert len(cache) == 2
    assert cache.get(b"b") is None
    assert cache.get(b"a") is not None
    assert cache.seen == {"hit": 2, "miss": 1}


@pytest.fixture
def served(tmp_path: Path) -> Any:
    artifacts = DirectoryArtifacts(tmp_path / "artifacts")
    manifests = {OLD: tiny_bundle(artifacts, OLD), NEW: tiny_bundle(artifacts, NEW, bias=1.0)}
    traffic = GatewayTraffic(tmp_path, "m")
    traffic.put(Route("m", 1, {OLD: 1.0}, manifests, OLD))
    gateway = start(tmp_path, "m", how=ServeSettings(workers=1, cache=10))
    yield gateway, traffic, manifests
    assert gateway.stop() == 0


def test_kept_answer_is_counted_labelled_and_never_another_versions(served: Any) -> None:
    gateway, traffic, manifests = served

    def ask(name: str) -> Any:
        x = {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}
        body = {"id": name, "inputs": [x]}
        return httpx.post(f"{gateway.url}/v2/models/m/infer", json=body).json()

    first, again = ask("one"), ask("two")
    assert again == {**first, "id": "two"}
    assert traffic.served()[OLD].requests == 2
    assert len(traffic.scores(OLD)) == 2
    text = httpx.get(f"{gateway.url}/metrics").text
    assert 'instar_cache_total{model="m",outcome="hit"} 1' in text
    assert 'instar_runs_total{model="m",version="' + OLD + '"} 1' in text
    traffic.move(Route("m", 2, {NEW: 1.0}, manifests, NEW))
    other = ask("three")
    assert other["model_version"] == NEW
    assert other["outputs"][0]["data"] != first["outputs"][0]["data"]
    items = [{"id": name, "label": "yes"} for name in ("one", "two", "three")]
    sent = httpx.post(f"{gateway.url}/api/v1/feedback", json={"items": items})
    assert sent.json()["joined"] == 3
