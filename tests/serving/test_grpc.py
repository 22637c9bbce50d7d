"""The protocol over gRPC: the same answers, mistakes and counts as over HTTP, from one desk."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from instar.core.policy import ServeSettings
from instar.core.tools import Route
from instar.ledger.extras import MissingExtra
from instar.serving import batching
from instar.serving.client import GatewaySilent, GatewayTraffic, start
from instar.serving.desk import Desk
from instar.serving.endpoints import Endpoints
from instar.serving.gateway import PortTaken, hold
from instar.serving.grpc import messages, require
from instar.serving.mistakes import Overloaded
from instar.serving.slots import Sheet
from tests.serving.conftest import House, build

OLD, NEW, WILD = "model_v20260101_0000", "model_v20260102_0000", "model_v20260103_0000"
SCRIPT = Path(__file__).with_name("grpc_asks.py")


def opened(root: Path) -> House:
    manifests = build(root)
    traffic = GatewayTraffic(root, "m")
    traffic.put(Route("m", 1, {OLD: 1.0}, manifests, OLD))
    gateway = start(root, "m", how=ServeSettings(grpc=0))
    return House(root, manifests, gateway, traffic, httpx.Client(base_url=gateway.url, timeout=10))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = opened(tmp_path_factory.mktemp("grpc"))
    yield house
    house.http.close()
    assert house.gateway.stop() == 0


def asking(house: House, what: str) -> Any:
    command = [sys.executable, str(SCRIPT), house.gateway.grpc, what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def told(shared: House) -> dict[str, Any]:
    shared.move({OLD: 1.0}, warm=(NEW,))
    found: dict[str, Any] = asking(shared, "everything")
    return found


def test_every_encoding_gives_the_same_answer(told: dict[str, Any]) -> None:
    assert len(told["answers"]) == 11
    for case, answer in told["answers"].items():
        # sigmoid(x + 0.5 for red): x is 1 and -1
        assert answer["scores"][0] == pytest.approx([0.18243, 0.81757], abs=1e-4)
        assert answer["scores"][1] == pytest.approx([0.73106, 0.26894], abs=1e-4)
        assert answer["labels"] == ["yes", "no"]
        assert (answer["id"], answer["version"]) == ("seven", OLD)
        assert answer["raw"] == ("triton" in case or case == "raw answer")
    assert told["large"] == 600
    assert told["pinned"] == NEW


def test_numbers_of_every_type_by_value_and_raw(told: dict[str, Any]) -> None:
    found = [scores for encodings in told["numbers"].values() for scores in encodings]
    assert len(found) == 13
    for scores in found:
        assert scores == [
            pytest.approx(row, abs=1e-4) for row in ([0.26894, 0.73106], [0.73106, 0.26894])
        ]
    assert told["matrix"] == [pytest.approx([0.26894, 0.73106], abs=1e-4)]


def test_server_and_model_are_described(told: dict[str, Any]) -> None:
    assert told["live"]
    assert told["ready"]
    assert told["model ready"]
    assert told["server"]["name"] == "instar"
    assert "binary_tensor_data" in told["server"]["extensions"]
    assert told["model"]["versions"] == [OLD, NEW]
    assert told["model"]["outputs"][0] == {
        "name": "scores",
        "datatype": "FP32",
        "shape": ["-1", "2"],
    }
    assert {row["state"] for row in told["index"]["models"]} == {"READY"}
    stats = {row["version"]: row for row in told["statistics"]["model_stats"]}
    assert int(stats[OLD]["inference_count"]) >= 600
    assert int(stats[NEW]["inference_stats"]["success"]["count"]) >= 1


def test_bad_requests_are_invalid_arguments(told: dict[str, Any]) -> None:
    assert len(told["bad"]) > 30
    for case, (code, text, _) in told["bad"].items():
        assert (case, code, text[:7]) == (case, "INVALID_ARGUMENT", "wanted ")


def test_mistakes_have_the_codes_of_their_statuses(told: dict[str, Any]) -> None:
    codes = {name: code for name, (code, _, _) in told["mistakes"].items()}
    assert codes == {
        "model": "NOT_FOUND",
        "version": "NOT_FOUND",
        "model ready": "NOT_FOUND",
        "version ready": "NOT_FOUND",
        "metadata": "NOT_FOUND",
        "statistics": "NOT_FOUND",
        "unload": "INVALID_ARGUMENT",
        "load": "NOT_FOUND",
        "config": "UNIMPLEMENTED",
        "bomb": "RESOURCE_EXHAUSTED",
        "too large": "RESOURCE_EXHAUSTED",
    }


def test_messages_are_those_of_the_protocol(told: dict[str, Any]) -> None:
    ours = messages.POOL.FindFileByName(messages.FILE)
    left, count = list(ours.message_types_by_name.values()), 0
    while left:
        message = left.pop()
        left += message.nested_types
        theirs = told["described"][message.full_name]
        for field in message.fields:
            count += 1
            assert theirs[str(field.number)] == [
                field.name,
                field.type,
                field.message_type.full_name if field.message_type else "",
                field.is_repeated,
                field.containing_oneof.name if field.containing_oneof else "",
            ]
    assert count > 60


def test_file_of_the_protocol_is_read_strictly() -> None:
    for text in ("message A { string a = 1 }", "enum A {}", "message A { reserved 1; }", "é"):
        with pytest.raises((ValueError, IndexError)):
            messages._Reader(text).read()


def test_route_counts_labels_and_rescue_are_those_of_http(shared: House) -> None:
    shared.move({OLD: 0.5, WILD: 0.5})
    generation = shared.traffic.route().generation
    told = asking(shared, "units")
    assert set(told["versions"].values()) == {OLD, WILD}
    for unit in (f"unit {number}" for number in range(100)):
        answer = shared.infer(headers={"x-unit-id": unit})
        assert answer["model_version"] == told["versions"][unit]
    assert told["versions"]["by id"] == told["versions"]["unit 7"]
    # Rows that the candidate fails on or answers by NaN are answered by the champion, and counted.
    assert told["wild"] == {OLD: 40}
    served = shared.traffic.served(generation)
    assert served[WILD].errors > 0
    assert served[WILD].invalid > 0
    assert (
        sum(one.requests for one in served.values()) + shared.traffic.served()[OLD].requests > 241
    )
    items = [{"id": "r7", "label": "yes"}]
    assert shared.http.post("/api/v1/feedback", json={"items": items}).json()["joined"] == 0
    items = [{"id": "r7/0", "label": "yes"}, {"id": "r7/1", "label": "no"}]
    assert shared.http.post("/api/v1/feedback", json={"items": items}).json()["joined"] == 2


def test_gateway_that_is_told_to_end_under_load_cuts_no_answer_short(tmp_path: Path) -> None:
    house = opened(tmp_path)
    command = [sys.executable, str(SCRIPT), house.gateway.grpc, "load"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as clients:
        assert clients.stdout
        assert clients.stdout.readline() == "busy\n"
        house.http.close()
        assert house.gateway.stop() == 0
        outcomes = json.loads(clients.stdout.read())
    assert outcomes.pop("OK") > 100
    assert set(outcomes) == {"UNAVAILABLE"}


def test_worker_that_is_killed_is_replaced_at_the_same_address(shared: House) -> None:
    shared.move({OLD: 1.0})
    before = {one["pid"] for one in shared.traffic.status()["workers"]}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    end, fresh = time.monotonic() + 60, set[int]()
    while len(fresh) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
        with contextlib.suppress(GatewaySilent):  # nobody answers before they are there
            fresh = {one["pid"] for one in shared.traffic.status()["workers"]} - before
    assert asking(shared, "units")["versions"]["unit 0"] == OLD


def test_library_is_loaded_only_where_it_is_asked_for(shared: House, tmp_path: Path) -> None:
    def loads(pid: int) -> bool:
        return "cygrpc" in Path(f"/proc/{pid}/maps").read_text()

    build(tmp_path)
    traffic = GatewayTraffic(tmp_path, "m")
    gateway = start(tmp_path, "m", how=ServeSettings(workers=1))
    (plain,) = traffic.status()["workers"]
    assert not loads(plain["pid"])
    assert gateway.stop() == 0
    assert not loads(shared.gateway.pid)  # it forks
    assert all(loads(one["pid"]) for one in shared.traffic.status()["workers"])


def test_missing_library_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(name: str) -> None:
        raise ModuleNotFoundError(name)

    for found in (lambda name: None, nowhere):
        monkeypatch.setattr(importlib.util, "find_spec", found)
        with pytest.raises(MissingExtra, match=r"instar\[grpc\]"):
            require()
        with pytest.raises(MissingExtra):
            start(tmp_path, "m", how=ServeSettings(grpc=0))
    assert list(tmp_path.iterdir()) == []


def test_address_that_somebody_shares_already_is_taken() -> None:
    with hold("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(PortTaken, match="--grpc-port"):
            hold("127.0.0.1", first.getsockname()[1])


class Context:
    """A call, as far as the server looks at it."""

    def __init__(self, remaining: float | None = None) -> None:
        self.remaining = remaining
        self.told: tuple[Any, ...] = ()

    def time_remaining(self) -> float | None:
        return self.remaining

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def abort(self, code: Any, text: str, hint: tuple[tuple[str, str], ...]) -> None:
        self.told = (code.name, text, dict(hint))


def test_queue_that_is_too_long_is_a_deadline_only_for_whom_has_one(
    shared: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instar.ledger.artifacts import DirectoryArtifacts
    from instar.serving.grpc.server import Server
    from instar.serving.grpc.tensors import REQUEST
    from instar.serving.models import stock

    request = REQUEST(model_name="m", inputs=[{"name": "x", "datatype": "FP64", "shape": [1]}])
    request.inputs[0].contents.fp64_contents.append(1.0)
    seen: list[float] = []

    def full(runner: Any, job: Any) -> None:
        seen.append(job.patience_s)
        raise Overloaded(job.patience_s, 2.5)

    monkeypatch.setattr(batching.Runner, "submit", full)

    async def ask(desk: Desk, remaining: float | None) -> tuple[Any, ...]:
        nobody: Any = None
        context = Context(remaining)
        server = Server(desk, Endpoints(desk, nobody, nobody, nobody))
        await server._infer(request.SerializeToString(), context)
        return context.told

    async def act() -> None:
        desk = Desk("m", Sheet.anonymous(1).block(0))
        code, text, hint = await ask(desk, 0.5)
        assert (code, hint) == ("UNAVAILABLE", {"grpc-retry-pushback-ms": "1000"})
        assert "none yet" in text
        artifacts = DirectoryArtifacts(shared.root / "artifacts")
        desk.take(stock(Route("m", 1, {OLD: 1.0}, shared.manifests, OLD), "m", artifacts, None))
        code, _, hint = await ask(desk, None)
        assert (code, hint) == ("UNAVAILABLE", {"grpc-retry-pushback-ms": "3000"})
        code, text, _ = await ask(desk, 0.5)
        assert (code, text[:24]) == ("DEADLINE_EXCEEDED", "wanted an answer within ")
        assert (await ask(desk, 100.0))[0] == "UNAVAILABLE"
        assert seen == [10.0, 0.5, 10.0]
        assert desk.inside == 0

    asyncio.run(act())
