"""The demo's client against a real HTTP server that counts and can fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from instar.demo.replay import LABELS_AT_ONCE, Replay, body_of, landing

MORNING = datetime(2013, 7, 1, 6)  # noqa: DTZ001  the flights carry no zone


def flights(count: int, minutes: int = 10) -> list[dict[str, Any]]:
    return [
        {
            "scheduled": MORNING + timedelta(minutes=minutes * i),
            "flight": f"f{i}",
            "carrier": "UA",
            "distance": 700.0,
            "temp": None if i % 2 else 71.5,
        }
        for i in range(count)
    ]


class Server:
    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.lock = threading.Lock()
        self.fail = lambda number: False
        outer = self

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.seen.append((self.path, body))
                    bad = outer.fail(len(outer.seen))
                said = json.dumps({"model_version": "model_a"}).encode()
                self.send_response(503 if bad else 200)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def asked(self) -> list[dict[str, Any]]:
        return [body for path, body in self.seen if path == "/v2/models/flights/infer"]

    def told(self) -> list[tuple[int, str]]:
        """Labels in the order they came, each with how many requests had been sent before."""
        found, sent = [], 0
        for path, body in self.seen:
            if path == "/api/v1/feedback":
                found += [(sent, item["id"]) for item in body["items"]]
            else:
                sent += 1
        return found


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, daemon=True)
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


def play(server: Server, rows: list[dict[str, Any]], **more: Any) -> Replay:
    labels = {row["flight"]: "no" for row in rows}
    client = Replay(server.url, "flights", rows, labels, **{"connections": 1, **more}).start()
    client.wait_for(len(rows) * 10, timeout_s=20)
    client.stop()
    return client


def test_replay_sends_every_flight_once_and_in_order(server: Server) -> None:
    client = play(server, flights(60))
    assert [body["id"] for body in server.asked()] == [f"f{i}" for i in range(60)]
    assert (client.sent, client.failed, client.versions) == (60, 0, {"model_a": 60})


def test_replay_tells_no_label_before_the_flight_has_landed(server: Server) -> None:
    rows = flights(80)
    client = play(server, rows)
    told = server.told()
    assert client.told == len(told) >= LABELS_AT_ONCE
    for sent, name in told:
        now = rows[sent]["scheduled"] if sent < len(rows) else MORNING + timedelta(days=1)
        assert landing(rows[int(name[1:])]) <= now


def test_connections_share_the_flights(server: Server) -> None:
    client = play(server, flights(60), connections=3)
    assert sorted(body["id"] for body in server.asked()) == sorted(f"f{i}" for i in range(60))
    assert client.sent == 60


def test_failed_answers_are_counted(server: Server) -> None:
    server.fail = lambda number: number % 5 == 0
    client = play(server, flights(20))
    assert (client.sent, client.failed, client.versions) == (20, 4, {"model_a": 16})


def test_server_that_is_away_counts_as_failed() -> None:
    rows = flights(5)
    client = Replay("http://127.0.0.1:9", "flights", rows, {r["flight"]: "no" for r in rows})
    client.start().wait_for(5)
    client.stop()
    assert (client.sent, client.failed) == (5, 5)


def test_replay_waits_until_it_is_ready(server: Server) -> None:
    ready = threading.Event()
    rows = flights(5)
    labels = {row["flight"]: "no" for row in rows}
    client = Replay(server.url, "flights", rows, labels, ready=ready.is_set).start()
    client.wait_for(1, timeout_s=0.2)
    assert client.sent == 0
    ready.set()
    client.wait_for(5)
    client.stop()
    assert client.sent == 5


def test_replay_without_end_gives_every_turn_names_of_its_own(server: Server) -> None:
    rows = flights(5)
    labels = {row["flight"]: "no" for row in rows}
    client = Replay(server.url, "flights", rows, labels, connections=1, forever=True).start()
    client.wait_for(12)
    client.stop()
    names = [body["id"] for body in server.asked()]
    assert names[:12] == [*labels, *(f"{n}-1" for n in labels), "f0-2", "f1-2"]


def test_body_leaves_missing_values_and_what_is_no_feature_out() -> None:
    (first, second) = flights(2)
    assert body_of(second, "r1") == {
        "id": "r1",
        "inputs": [
            {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]},
            {"name": "distance", "shape": [1], "datatype": "FP64", "data": [700.0]},
        ],
    }
    assert [item["name"] for item in body_of(first, "r0")["inputs"]][-1] == "temp"


def test_flight_of_700_miles_lands_after_140_minutes() -> None:
    assert landing(flights(1)[0]) == MORNING + timedelta(minutes=140)
