"""Several processes: none of them is needed for long, and together they count as one."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from instar.serving.client import GatewaySilent
from instar.serving.slots import Sheet

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"


def until(true: Callable[[], Any], patience_s: float = 20.0) -> Any:
    end = time.monotonic() + patience_s
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def workers(house: Any) -> dict[int, int]:
    return {one["slot"]: one["pid"] for one in house.traffic.status()["workers"]}


@pytest.fixture
def pids(alone: Any) -> dict[int, int]:
    return until(lambda: (found := workers(alone)) and len(found) == 2 and found)


def ask(url: str, number: int) -> str:
    """Ask over a connection of its own, which either worker may take."""
    x = {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}
    answer = httpx.post(f"{url}/v2/models/m/infer", json={"id": f"r{number}", "inputs": [x]})
    answer.raise_for_status()
    return str(answer.json()["model_version"])


def test_worker_that_is_killed_is_replaced_and_serves_the_route_of_now(
    alone: Any, pids: dict[int, int]
) -> None:
    alone.move({NEW: 1.0}, champion=NEW)
    killed = pids[0]
    os.kill(killed, signal.SIGKILL)
    fresh = until(lambda: (now := workers(alone)).get(0) not in (None, killed) and now)
    assert fresh[1] == pids[1]
    sheet = Sheet.open(alone.root, 2)
    generation = alone.traffic.route().generation
    until(lambda: [block.generation for block in sheet.blocks] == [generation] * 2)
    assert {ask(alone.gateway.url, number) for number in range(20)} == {NEW}


def test_every_worker_killed_at_once_costs_no_count_and_no_label(
    alone: Any, pids: dict[int, int]
) -> None:
    for number in range(20):
        ask(alone.gateway.url, number)
    assert alone.traffic.served()[OLD].requests == 20
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    # Their socket stays open: who connects meanwhile waits for the next worker.
    assert ask(alone.gateway.url, 20) == OLD
    until(lambda: len(workers(alone)) == 2)
    assert alone.traffic.served()[OLD].requests == 21
    items = [{"id": f"r{number}", "label": "yes"} for number in range(21)]
    sent = httpx.post(f"{alone.gateway.url}/api/v1/feedback", json={"items": items})
    assert sent.json()["joined"] == 21


def test_counts_and_labels_of_both_workers_add_up(alone: Any, pids: dict[int, int]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ask(alone.gateway.url, number), range(80)))
    assert alone.traffic.served()[OLD].requests == 80
    assert sum(s.requests for s in alone.traffic.served()[OLD].stretches) == 80
    assert len(alone.traffic.scores(OLD)) == 80
    items = [{"id": f"r{number}", "label": "no"} for number in range(80)]
    sent = httpx.post(f"{alone.gateway.url}/api/v1/feedback", json={"items": items})
    assert sent.json()["joined"] == 80
    blocks = Sheet.open(alone.root, 2).blocks
    each = [sum(counts.requests for _, _, counts in block.read()) for block in blocks]
    assert sum(each) == 80


def test_workers_end_with_their_office(alone: Any, pids: dict[int, int]) -> None:
    os.kill(alone.gateway.pid, signal.SIGKILL)
    alone.gateway.process.wait()

    def gone(pid: int) -> bool:
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"

    until(lambda: all(gone(pid) for pid in pids.values()))
    with pytest.raises(GatewaySilent):
        alone.traffic.status()


def test_predictions_go_on_without_the_office(alone: Any, pids: dict[int, int]) -> None:
    os.kill(alone.gateway.pid, signal.SIGSTOP)
    try:
        assert ask(alone.gateway.url, 1) == OLD
        metrics = Sheet.open(alone.root, 2).read()
        assert metrics[OLD][1].requests == 1
    finally:
        os.kill(alone.gateway.pid, signal.SIGCONT)


def test_worker_that_dies_in_the_middle_of_a_move_does_not_stop_it(
    alone: Any, pids: dict[int, int]
) -> None:
    for turn in range(6):
        os.kill(workers(alone)[turn % 2], signal.SIGKILL)
        alone.move({NEW if turn % 2 else OLD: 1.0})
        until(lambda: len(workers(alone)) == 2)
    assert {ask(alone.gateway.url, number) for number in range(10)} == {NEW}


def test_gateway_that_is_told_to_end_under_load_cuts_no_answer_short(alone: Any) -> None:
    place = urlsplit(alone.gateway.url)
    body = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}]}'
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\nconnection: close\r\n"
    sent = head + b"content-length: %d\r\n\r\n" % len(body) + body
    whole: list[bytes] = []
    turned_away: list[OSError] = []

    def client(_: int) -> None:
        """Ask over new connections until nobody takes them any more."""
        while not turned_away:
            answer = b""
            try:
                with socket.create_connection((place.hostname, place.port), timeout=20) as line:
                    line.sendall(sent)
                    while part := line.recv(65536):
                        answer += part
            except OSError as error:
                assert answer == b""  # nothing was begun
                turned_away.append(error)
                return
            if answer:
                whole.append(answer)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(client, number) for number in range(4)]
        until(lambda: len(whole) > 50)
        os.kill(alone.gateway.pid, signal.SIGTERM)
        for one in asking:
            one.result(30)
    assert alone.gateway.process.wait(20) == 0
    for answer in whole:
        told, _, rest = answer.partition(b"\r\n\r\n")
        assert told.startswith(b"HTTP/1.1 200")
        assert len(rest) == int(told.split(b"content-length: ")[1].split(b"\r\n")[0])


def answered_by(house: Any) -> dict[int, int]:
    """Say which route each worker has in force."""
    blocks = Sheet.open(house.root, 2).blocks
    return {slot: block.generation for slot, block in enumerate(blocks)}


def test_move_waits_for_a_worker_that_hangs_no_longer_than_until_it_is_ended(
    alone: Any, pids: dict[int, int]
) -> None:
    alone.move({NEW: 1.0}, champion=NEW)
    os.kill(pids[0], signal.SIGSTOP)
    alone.move({OLD: 1.0})  # raises after a minute if it waits for the one that hangs
    generation = alone.traffic.route().generation
    fresh = until(lambda: (now := workers(alone)).get(0) not in (None, pids[0]) and now)
    assert fresh[1] == pids[1]
    until(lambda: set(answered_by(alone).values()) == {generation})
    assert {ask(alone.gateway.url, number) for number in range(20)} == {OLD}
    assert not Path(f"/proc/{pids[0]}").exists()


def test_worker_that_hangs_is_replaced_without_anybody_asking(
    alone: Any, pids: dict[int, int]
) -> None:
    os.kill(pids[1], signal.SIGSTOP)
    fresh = until(lambda: (now := workers(alone)).get(1) not in (None, pids[1]) and now)
    assert fresh[0] == pids[0]


def test_workers_show_that_they_live(alone: Any, pids: dict[int, int]) -> None:
    blocks = Sheet.open(alone.root, 2).blocks
    before = [block.ticks for block in blocks]
    until(lambda: all(b.ticks > was for b, was in zip(blocks, before, strict=True)))
    assert not any(block.loading for block in blocks)
