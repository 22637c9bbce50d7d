"""People steer a real release behind a real gateway: by command, and over HTTP with the token."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from instar.service import Workspace
from instar.web.server import dashboard
from tests.faults import journey

STEPS = "[{share: 0.1, requests: 5}, {share: 0.5, requests: 1000000}], arrival: queue"


def waited(look: Callable[[], dict[str, Any]], until: Callable[[Any], bool]) -> dict[str, Any]:
    for _ in range(1_800):
        if until(found := look()):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_release_is_paused_over_http_resumed_by_command_promoted_and_followed_by_the_queue(
    tmp_path: Path,
) -> None:
    house = journey.lay_out(tmp_path / "demand", subprocess.Popen, journey.Sqlite())
    policy = journey.YAML.replace("[{share: 0.5, requests: 5}]", STEPS)
    assert policy != journey.YAML
    (house.folder / "instar.yaml").write_text(policy)
    data = ("--train", "train.parquet", "--holdout", "holdout.parquet")
    house.types("adopt", "champion.safetensors", *data, "--by", "alice")
    house.types("update", "fresh.parquet", "--reason", "weekly", "--by", "alice")
    house.types("approve", "u0001", "--by", "bob")
    with house.serving():
        _steer(house)


def _steer(house: journey.House) -> None:
    ended: list[tuple[int, str]] = []
    words = ("release", "u0001", "--by", "alice")
    thread = threading.Thread(target=lambda: ended.append(house.types(*words)))
    thread.start()
    space = Workspace(house.folder, by="bob")
    waited(lambda: space.live("u0001"), lambda view: view["step"] == 2 and view["findings"])

    with dashboard(space, 0, space.token()) as url:
        head = {"authorization": f"Bearer {space.token()}"}
        told = {"by": "olga", "reason": "a sale begins"}
        address = f"{url}api/v1/updates/u0001/pause"
        assert httpx.post(address, json=told, timeout=30).status_code == 401
        answer = httpx.post(address, json=told, headers=head, timeout=30)
        assert answer.status_code in (200, 202), answer.text
        view = waited(
            lambda: dict(httpx.get(f"{url}api/v1/release", timeout=30).json()),
            lambda view: view["phase"] == "paused",
        )
        assert (view["paused"], view["next"]) == ("person", "instar resume u0001")
        assert view["shares"][view["candidate"]] == 0.5
        assert view["served"][view["candidate"]]["requests"] > 5

    asked = ("update", "later.parquet", "--reason", "monthly", "--by", "carol")
    status, said = house.types(*asked)
    assert (status, "queued as entry" in said) == (3, True), said
    assert [row["reason"] for row in space.status()["queued"]] == ["monthly"]

    house.types("resume", "u0001", "--reason", "the sale is over", "--by", "olga")
    assert space.live("u0001")["phase"] == "step"
    status, said = house.types("promote", "u0001", "--reason", "it is well", "--by", "bob")
    thread.join(60)
    assert (status, ended[0][0]) == (0, 0), (said, ended)
    assert json.loads(said)["state"] == "promoted"

    causes = [e.body["cause"] for e in space.history(kind="release")]
    people = [cause for cause in causes if cause.startswith(("olga", "bob"))]
    assert people == [
        "olga pauses: a sale begins",
        "olga resumes: the sale is over",
        "bob promotes: it is well",
    ]
    assert "requests" in json.dumps(space.history(kind="release")[-2].body["findings"])
    assert space.route().champion == space.champion().name == view["candidate"]

    def second() -> dict[str, Any]:
        return {row["update"]: row for row in space.updates()}.get("u0002", {})

    begun = waited(second, lambda row: row.get("state") == "waiting" and row["next"])
    assert (begun["by"], begun["champion"]) == ("carol", view["candidate"])
    assert space.status()["queued"] == []
    assert space.audit()["problems"] == []
    space.journal.close()
