"""Play flights against the gateway in the order in which they left, labels after landing."""

from __future__ import annotations

import heapq
import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

TAXI = timedelta(minutes=40)
MILES_A_MINUTE = 7.0
LABELS_AT_ONCE = 25


def landing(row: Mapping[str, Any]) -> datetime:
    """Guess when a flight is down and its label known."""
    left: datetime = row["scheduled"]
    return left + TAXI + timedelta(minutes=row["distance"] / MILES_A_MINUTE)


class Replay:
    """A client of the prediction API: some connections, each with its share of the flights.

    `rows` hold the columns that a live request has; `labels` the answers by flight id. The
    counters may be read at any time. The first request waits until `ready`; `stop` ends it at the
    next one.
    """

    def __init__(
        self,
        url: str,
        model: str,
        rows: Sequence[Mapping[str, Any]],
        labels: Mapping[str, str],
        *,
        connections: int = 2,
        forever: bool = False,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.host = urlsplit(url).netloc
        self.path = f"/v2/models/{model}/infer"
        self.labels, self.forever, self.ready = labels, forever, ready
        self.sent = self.failed = self.told = 0
        self.versions: dict[str, int] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._play, args=(rows[start::connections],), daemon=True)
            for start in range(connections)
        ]

    def start(self) -> Replay:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def wait_for(self, requests: int, timeout_s: float = 30.0) -> None:
        """Wait until so many requests have been answered."""
        until = time.monotonic() + timeout_s
        while self.sent < requests and self.running and time.monotonic() < until:
            time.sleep(0.01)

    def _play(self, rows: Sequence[Mapping[str, Any]]) -> None:
        connection = http.client.HTTPConnection(self.host, timeout=10)
        while not (self.ready() or self._stop.is_set()):
            time.sleep(0.01)
        flying: list[tuple[datetime, str, str]] = []
        down: list[dict[str, str]] = []
        for turn, row in self._turns(rows):
            if self._stop.is_set():
                break
            while flying and flying[0][0] <= row["scheduled"]:
                _, landed, label = heapq.heappop(flying)
                down.append({"id": landed, "label": label})
            if len(down) >= LABELS_AT_ONCE:
                self._tell(connection, down)
                down = []
            flight = str(row["flight"])
            request = flight if turn == 0 else f"{flight}-{turn}"
            self._ask(connection, row, request)
            heapq.heappush(flying, (landing(row), request, self.labels[flight]))
        connection.close()

    def _turns(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        for turn in itertools.count() if self.forever else range(1):
            for row in rows:
                yield turn, row

    def _ask(
        self, connection: http.client.HTTPConnection, row: Mapping[str, Any], request: str
    ) -> None:
        answer = self._post(connection, self.path, body_of(row, request))
        with self._lock:
            self.sent += 1
            if answer is None:
                self.failed += 1
            else:
                name = str(answer["model_version"])
                self.versions[name] = self.versions.get(name, 0) + 1

    def _tell(
        self, connection: http.client.HTTPConnection, items: Sequence[Mapping[str, str]]
    ) -> None:
        self._post(connection, "/api/v1/feedback", {"items": items})
        with self._lock:
            self.told += len(items)

    def _post(
        self, connection: http.client.HTTPConnection, path: str, body: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Post and return the answer; None counts as a failed request, whatever the reason."""
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()
            return None
        return dict(said) if answer.status == 200 else None


def body_of(row: Mapping[str, Any], request: str) -> dict[str, Any]:
    """Write one flight as an Open Inference Protocol request, one tensor a column."""
    inputs = [
        {
            "name": name,
            "shape": [1],
            "datatype": "BYTES" if isinstance(value, str) else "FP64",
            "data": [value],
        }
        for name, value in row.items()
        if name not in ("scheduled", "flight") and value is not None
    ]
    return {"id": request, "inputs": inputs}
