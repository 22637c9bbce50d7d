"""The gateway as a process, before real clients."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from instar.serving import routefile
from instar.serving.client import (
    GatewayFailed,
    GatewaySilent,
    GatewayTraffic,
    RouteRefused,
    start,
)
from instar.serving.routefile import StaleRoute

OLD, NEW, WILD = "model_v20260101_0000", "model_v20260102_0000", "model_v20260103_0000"


def test_swap_under_load_fails_no_request(house: Any, load: Callable[[str], Any]) -> None:
    clients = load(house.gateway.url)
    for turn in range(20):
        house.move({NEW: 1.0} if turn % 2 else {OLD: 1.0})
        time.sleep(0.02)
    clients.stop.set()
    assert clients.wrong == []
    assert clients.answered > 100
    assert clients.versions == {OLD, NEW}


def test_rollback_under_load_takes_effect_at_once(house: Any, load: Callable[[str], Any]) -> None:
    house.move({OLD: 0.5, NEW: 0.5})
    clients = load(house.gateway.url)
    while clients.answered < 20:
        time.sleep(0.01)
    assert house.move({OLD: 1.0}, warm=(NEW,)) > 0
    generation, answered = house.traffic.route().generation, clients.answered
    while clients.answered < answered + 20:  # those that were under way, and more
        time.sleep(0.01)
    clients.stop.set()
    assert clients.wrong == []
    assert set(house.traffic.served(generation)) == {OLD}


def test_unit_stays_with_its_version_and_growth_moves_nobody_back(house: Any) -> None:
    units = [f"unit {n}" for n in range(300)]

    def ask() -> dict[str, str]:
        return {u: house.infer(headers={"x-unit-id": u})["model_version"] for u in units}

    house.move({OLD: 0.9, NEW: 0.1}, salt="s")
    first, again = ask(), ask()
    house.move({OLD: 0.5, NEW: 0.5}, salt="s")
    grown = ask()
    assert first == again
    assert 10 <= sum(v == NEW for v in first.values()) <= 60
    assert all(grown[unit] == NEW for unit in units if first[unit] == NEW)
    assert 110 <= sum(v == NEW for v in grown.values()) <= 190


def test_broken_bundle_is_refused_while_the_old_version_serves(house: Any) -> None:
    route = house.route({OLD: 0.5, "broken": 0.5})
    route.manifests["broken"] = "sha256:" + "0" * 64
    with pytest.raises(RouteRefused, match="got nothing"):
        house.traffic.move(route)
    assert house.infer()["model_version"] == OLD
    status = house.traffic.status()
    assert status["refused"]["generation"] == route.generation
    assert status["generation"] < route.generation
    del house.manifests["broken"]
    house.move({OLD: 1.0})
    assert house.traffic.status()["refused"] is None


def test_damaged_bundle_is_refused(house: Any) -> None:
    manifests = house.manifests
    digest = json.loads(_artifact(house.root, manifests[NEW]).read_bytes())["files"][0]["digest"]
    path = _artifact(house.root, digest)
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:-1] + b"\0")
    try:
        with pytest.raises(RouteRefused):
            house.move({NEW: 1.0}, champion=NEW)
    finally:
        path.write_bytes(whole)
    assert house.infer()["model_version"] == OLD


def _artifact(root: Path, digest: str) -> Path:
    name = digest.removeprefix("sha256:")
    return next((root / "artifacts").rglob(name))


def test_warm_version_that_does_not_load_stops_nobody(house: Any) -> None:
    route = house.route({OLD: 1.0}, warm=("gone",))
    route.manifests["gone"] = "sha256:" + "1" * 64
    house.traffic.move(route)
    del house.manifests["gone"]
    assert "gone" in house.traffic.status()["cold"]
    assert house.infer()["model_version"] == OLD


def test_candidate_that_fails_costs_nobody_an_answer(house: Any) -> None:
    house.move({OLD: 0.5, WILD: 0.5})
    generation = house.traffic.route().generation
    for x in [1.0] * 20 + [10.0] * 20 + [100.0] * 20:
        house.infer(x=x)
    served = house.traffic.served(generation)
    assert served[WILD].errors > 0
    assert served[WILD].invalid > 0
    assert served[OLD].errors == served[OLD].invalid == 0
    assert sum(version.requests for version in served.values()) == 60


def test_champion_that_fails_is_an_honest_500(house: Any) -> None:
    house.move({WILD: 1.0}, champion=WILD)
    for x in (10.0, 100.0):
        answer = house.http.post("/v2/models/m/infer", json=_body(x))
        assert answer.status_code == 500
        assert set(answer.json()) == {"error"}


def _body(x: float) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [x]}]}


def test_labels_come_late_twice_never_or_for_nobody(house: Any) -> None:
    house.move({OLD: 0.5, NEW: 0.5}, salt="labels")
    generation = house.traffic.route().generation
    for n in range(40):
        house.infer(f"late {n}")

    def tell(*items: tuple[str, Any]) -> Any:
        sent = {"items": [{"id": name, "label": label} for name, label in items]}
        return house.http.post("/api/v1/feedback", json=sent).json()

    assert tell(*[(f"late {n}", "yes") for n in range(30)])["joined"] == 30
    assert tell(("late 0", "yes"))["repeated"] == 1
    assert tell(("late 0", "no"))["changed"] == 1
    assert tell(("nobody", "yes"))["unknown"] == 1
    refused = tell(("late 31", "perhaps"))["refused"]
    assert refused[0]["id"] == "late 31"
    parts = [house.traffic.labelled(version, generation) for version in (OLD, NEW)]
    assert sorted([*parts[0].order, *parts[1].order]) == list(
        range(
            min(parts[0].order[0], parts[1].order[0]),
            max(parts[0].order[-1], parts[1].order[-1]) + 1,
        )
    )
    assert sum(len(part.labels) for part in parts) == 30
    assert sum(part.labels.count(0.0) for part in parts) == 1
    assert set(parts[1].generations) == {generation}


def test_pinned_request_is_counted_apart(house: Any) -> None:
    house.move({OLD: 1.0}, warm=(NEW,))
    generation = house.traffic.route().generation
    answer = house.http.post(f"/v2/models/m/versions/{NEW}/infer", json=_body(1.0)).json()
    assert answer["model_version"] == NEW
    assert NEW not in house.traffic.served(generation)
    assert [s.share for s in house.traffic.served(0)[NEW].stretches if not s.generation] == [0.0]


def test_missing_columns_are_counted_and_answered(house: Any) -> None:
    before = house.traffic.status()["missing_columns"].get(OLD, {}).get("y", 0)
    answer = house.http.post("/v2/models/m/infer", json=_body(1.0))
    assert answer.status_code == 200
    until = time.monotonic() + 10  # workers hand in what they counted every 100 ms
    while house.traffic.status()["missing_columns"].get(OLD, {}).get("y", 0) == before:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert house.traffic.status()["missing_columns"][OLD]["y"] == before + 1


def test_gateway_starts_with_nothing_and_waits_for_a_route(tmp_path: Path) -> None:
    gateway = start(tmp_path, "m")
    try:
        ready = httpx.get(f"{gateway.url}/v2/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"live": True, "ready": False})
        answer = httpx.post(f"{gateway.url}/v2/models/m/infer", json=_body(1.0))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    finally:
        assert gateway.stop() == 0


def test_gateway_comes_back_with_its_route_its_counts_and_its_labels(alone: Any) -> None:
    alone.move({OLD: 0.5, NEW: 0.5})
    for n in range(30):
        alone.infer(f"r{n}")
    items = [{"id": f"r{n}", "label": "yes"} for n in range(10)]
    alone.http.post("/api/v1/feedback", json={"items": items})
    counted = {v: s.stretches for v, s in alone.traffic.served(2).items()}
    time.sleep(0.3)  # the log is written every 100 ms
    os.kill(alone.gateway.pid, signal.SIGKILL)
    alone.gateway.stop()

    gateway = start(alone.root, "m")
    try:
        assert {v: s.stretches for v, s in alone.traffic.served(2).items()} == counted
        labels = [len(alone.traffic.labelled(version).labels) for version in (OLD, NEW)]
        assert sum(labels) == 10
        late = {"items": [{"id": "r20", "label": "no"}]}
        answer = httpx.post(f"{gateway.url}/api/v1/feedback", json=late)
        assert answer.json()["joined"] == 1
    finally:
        assert gateway.stop() == 0


def test_gateway_starts_from_the_last_good_route(alone: Any) -> None:
    alone.gateway.stop()
    route = alone.route({"broken": 1.0}, champion="broken")
    route.manifests["broken"] = "sha256:" + "0" * 64
    alone.traffic.put(route)
    gateway = start(alone.root, "m")
    try:
        answer = httpx.post(f"{gateway.url}/v2/models/m/infer", json=_body(1.0))
        assert answer.json()["model_version"] == OLD
        assert alone.traffic.status()["refused"]["generation"] == route.generation
    finally:
        gateway.stop()


def test_traffic_moved_while_the_gateway_was_down_is_moved_when_it_comes(alone: Any) -> None:
    alone.gateway.stop()
    with pytest.raises(GatewaySilent):
        alone.move({NEW: 1.0}, champion=NEW)
    gateway = start(alone.root, "m")
    try:
        assert alone.traffic.status()["shares"] == {NEW: 1.0}
    finally:
        gateway.stop()


def test_sigterm_lets_a_running_request_end(alone: Any) -> None:
    host, port = alone.gateway.url.removeprefix("http://").split(":")
    sent = json.dumps(_body(1.0)).encode()
    head = f"POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\ncontent-length: {len(sent)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(head.encode() + sent[:20])
        time.sleep(0.2)
        os.kill(alone.gateway.pid, signal.SIGTERM)
        time.sleep(0.3)
        client.sendall(sent[20:])
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200")
    assert alone.gateway.process.wait(5) == 0


def test_gateway_listens_on_loopback_only(house: Any) -> None:
    port = int(house.gateway.url.rsplit(":", 1)[1])
    others = [
        address[4][0]
        for address in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)
        if not address[4][0].startswith("127.")
    ]
    for host in others:
        with pytest.raises(OSError), socket.create_connection((host, port), timeout=1):
            pass
    assert house.gateway.url.startswith("http://127.0.0.1:")


def test_route_of_another_model_is_refused(house: Any) -> None:
    route = replace(house.route({OLD: 1.0}), model="other")
    with pytest.raises(RouteRefused, match="a route of m"):
        house.traffic.move(route)


def test_move_that_lost_the_race_is_refused(house: Any) -> None:
    route = house.route({OLD: 1.0})
    house.traffic.move(route)
    with pytest.raises(StaleRoute) as caught:
        house.traffic.move(route)
    assert caught.value.retryable


def test_garbage_in_the_route_file_stops_nobody(alone: Any) -> None:
    (alone.root / "serve" / routefile.ROUTE).unlink()
    (alone.root / "serve" / routefile.ROUTE).write_text("{}")
    time.sleep(0.2)
    assert alone.infer()["model_version"] == OLD
    assert "route.json" in alone.traffic.status()["refused"]["reason"]


def test_metrics_are_prometheus_text(house: Any) -> None:
    house.infer()
    answer = house.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert f'instar_requests_total{{model="m",version="{OLD}",outcome="ok"}}' in answer.text


def test_gateway_on_a_taken_port_says_so(house: Any, tmp_path: Path) -> None:
    port = int(house.gateway.url.rsplit(":", 1)[1])
    with pytest.raises(GatewayFailed):
        start(tmp_path, "m", port)
    assert "another --port" in (tmp_path / "serve" / "gateway.err").read_text()


def test_traffic_of_a_gateway_that_is_gone_is_silent(tmp_path: Path) -> None:
    traffic = GatewayTraffic(tmp_path, "m", "http://127.0.0.1:9")
    with pytest.raises(GatewaySilent) as caught:
        traffic.served()
    assert caught.value.retryable
    with pytest.raises(GatewaySilent):
        GatewayTraffic(tmp_path, "m").age_s()
