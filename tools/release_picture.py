"""`instar status -w` during a real canary under traffic, as a picture for the docs.

    python -m tools.release_picture [--out docs/pictures/release.svg]

A tiny model line is adopted, updated, approved and released behind a real gateway; clients ask it
and tell labels all the while. The picture is taken in the last step; then a person pauses the
release, lets it go on, and it ends by itself. The last line is one JSON object with what came of
it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from instar.cli.watching import picture
from instar.core.errors import InstarError
from instar.service import Workspace
from tests import demand

POLICY = """\
model: demand
task: {kind: binary, target: up}
network: {family: mlp, hidden: [8]}
policy:
  admit: {min_rows: 50}
  plan: {strategy: full}
  train: {full_epochs: 10, patience: 40, batch: 64, lr: 0.02}
  package: {int8: never}
  validate:
    {metrics: {auroc: {margin: 0.2}}, old_margin: 0.9, flips: {max: 1, old_max: 1},
     suspicious_gain: 0.9, resamples: 100, latency_ms: 5000, attack: {rows: 20, steps: 2}}
  release:
    tick_s: 0.5
    p99_ms: 2000
    quality_margin: 0.05
    steps:
      - {share: 0.05, requests: 100}
      - {share: 0.25, requests: 300}
      - {share: 0.5, requests: 600, labels: 300}
"""
CLIENTS = 4
COLUMNS = ("x", "shop", "up")


class Clients:
    """Ask the gateway, and tell the label of each answer a moment later."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc
        self.asked = self.failed = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        rows = demand.table(20_000, 100 + number).to_dicts()
        line = http.client.HTTPConnection(self.host, timeout=10)
        for place, row in enumerate(rows):
            if self._stop.is_set():
                break
            name = f"c{number}-{place}"
            inputs = [
                {"name": "x", "shape": [1], "datatype": "FP64", "data": [row["x"]]},
                {"name": "shop", "shape": [1], "datatype": "BYTES", "data": [row["shop"]]},
            ]
            answer = self._post(line, "/v2/models/demand/infer", {"id": name, "inputs": inputs})
            self.asked += 1
            self.failed += answer != 200
            if place % 3 == 0:
                told = {"items": [{"id": name, "label": row["up"]}]}
                self._post(line, "/api/v1/feedback", told)
            time.sleep(0.01)
        line.close()

    def _post(self, line: http.client.HTTPConnection, path: str, body: Any) -> int:
        line.request("POST", path, json.dumps(body).encode())
        answer = line.getresponse()
        answer.read()
        return answer.status


def prepared(folder: Path) -> Workspace:
    """Bring a candidate to where it may be released."""
    demand.adopted(folder, POLICY, dict.fromkeys(("train", "holdout", "fresh"), 600), COLUMNS)
    alice = Workspace(folder, by="alice")
    asked = alice.update("fresh.parquet", reason="June is complete")
    Workspace(folder, by="bob").approve(asked.update, reason="figures read")
    return Workspace(folder, by="olga")


def main() -> None:
    """Take the picture, and see the release to its end."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--out", type=Path, default=Path("docs/pictures/release.svg"))
    out: Path = asked.parse_args().out
    with tempfile.TemporaryDirectory() as place:
        space = prepared(Path(place))
        with space.serve(workers=1) as gateway:
            clients = Clients(gateway.url)
            try:
                found = released(space, out)
            finally:
                clients.stop()
        print(json.dumps({**found, "asked": clients.asked, "failed": clients.failed}))


def released(space: Workspace, out: Path) -> dict[str, Any]:
    """Release, and steer on the way."""
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(_release(space)))
    thread.start()
    view = wait(space, lambda v: v["step"] == 3 and v["findings"] and v["gateway"])
    time.sleep(2)
    view = space.live("u0001")
    drawn = picture(view, time.time())
    out.write_text("\n".join(line.rstrip() for line in drawn.splitlines()) + "\n")
    paused = space.pause("u0001", reason="a sale begins")
    stands = space.live("u0001")["phase"]
    Workspace(space.root, by="olga").resume("u0001", reason="the sale is over")
    thread.join(300)
    return {
        "paused": paused.changed,
        "stood": stands,
        "ended": ended[0] if ended else "not yet",
        "moves": [[m["phase"], m["step"], m["cause"][:60]] for m in space.live("u0001")["moves"]],
    }


def _release(space: Workspace) -> str:
    try:
        return Workspace(space.root, by="olga").release("u0001").state.value
    except InstarError as error:
        return str(error)


def wait(space: Workspace, until: Any, within_s: float = 240.0) -> dict[str, Any]:
    """Look at the release until it is where it should be."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        view = space.live("u0001")
        if until(view) or view["state"] not in ("waiting", "releasing"):
            return view
        time.sleep(0.5)
    raise SystemExit("the release did not get there")


if __name__ == "__main__":
    main()
