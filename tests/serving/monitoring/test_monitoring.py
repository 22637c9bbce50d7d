"""The rules and the board, before a real Prometheus that scrapes a real gateway."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from instar.core.finding import Verdict
from instar.core.policy import ServeSettings
from instar.core.records import Phase, Release, ReleasePlan
from instar.core.tools import Route
from instar.serving import looks, monitoring
from instar.serving.client import Gateway, GatewayTraffic, start
from instar.serving.exposition import HELP
from tests.servers import prometheus
from tests.servers.prometheus import Prometheus, promtool
from tests.serving.conftest import NEW, OLD, WILD, House, build

HERE = Path(__file__).parent
BOARD: dict[str, Any] = json.loads(monitoring.shipped(monitoring.BOARD))
RULES = yaml.safe_load(monitoring.shipped(monitoring.ALERTS))["groups"][0]["rules"]
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
QUERIES += [one["expr"] for one in BOARD["annotations"]["list"]]
SELECTOR = re.compile(r"(?:instar_\w+|\bup\b)(?:\{[^}]*\})?")
METRIC = re.compile(r"instar_\w+")


def filled(query: str) -> str:
    """Put a line and a time in the place of the board's variables."""
    return query.replace("$model", "m").replace("$__rate_interval", "20s")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    monitoring.write(tmp_path, ["127.0.0.1:1"])
    return tmp_path


def test_rules_are_well_formed(files: Path) -> None:
    assert promtool("check", "rules", str(files / monitoring.ALERTS))[0] == 0
    assert promtool("check", "config", str(files / monitoring.SETTINGS))[0] == 0


def test_alerts_speak_when_they_must_and_only_then(files: Path) -> None:
    shutil.copy(HERE / "alerts_test.yaml", files)
    status, said = promtool("test", "rules", str(files / "alerts_test.yaml"))
    assert status == 0, said


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    tests = yaml.safe_load((HERE / "alerts_test.yaml").read_text())["tests"]
    checked = [check for test in tests for check in test["alert_rule_test"]]
    names = {rule["alert"] for rule in RULES}
    assert {check["alertname"] for check in checked if check["exp_alerts"]} == names
    assert {check["alertname"] for check in checked if not check["exp_alerts"]} == names
    assert all({"summary", "todo"} <= rule["annotations"].keys() for rule in RULES)


def test_board_names_only_metrics_that_there_are_and_shows_all() -> None:
    def metrics(texts: list[str]) -> set[str]:
        found = {name for text in texts for name in METRIC.findall(text)}
        return {re.sub("_(bucket|sum|count)$", "", name) for name in found}

    known = HELP.keys()
    assert metrics([rule["expr"] for rule in RULES]) <= known
    shown = metrics(QUERIES)
    assert shown <= known
    assert known - shown == {"instar_process_start_time_seconds", "instar_release_step"}


def test_panels_lie_side_by_side() -> None:
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(places)
    assert all(panel["title"] and panel["description"] for panel in BOARD["panels"])


def test_command_writes_the_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "instar.serving.monitoring", str(tmp_path / "new")]
    run = [*command, "--target", "[::1]:80", "--target", "b:81", "--every", "5s"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    names = [monitoring.ALERTS, monitoring.BOARD, monitoring.SETTINGS]
    assert done.stdout.split() == [str(tmp_path / "new" / name) for name in names]
    settings = yaml.safe_load((tmp_path / "new" / monitoring.SETTINGS).read_text())
    assert settings["scrape_configs"][0]["static_configs"] == [{"targets": ["[::1]:80", "b:81"]}]
    done = subprocess.run([*command, "--target", "b"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "wanted HOST:PORT; got 'b'" in done.stderr


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway in the midst of a release that meets everything that is counted."""
    root = tmp_path_factory.mktemp("busy")
    manifests, traffic = build(root), GatewayTraffic(root, "m")
    traffic.put(Route("m", 1, {OLD: 0.6, WILD: 0.4}, manifests, OLD, shadow={NEW: 1.0}))
    gateway: Gateway = start(root, "m", how=ServeSettings(workers=1, cache=100))
    house = House(root, manifests, gateway, traffic, httpx.Client(base_url=gateway.url))
    yield house
    house.http.close()
    gateway.stop()


def step() -> Release:
    return Release(
        Phase.STEP,
        2,
        {},
        Verdict.INCONCLUSIVE,
        (),
        "it is looked at",
        began_at=0.0,
        since=0.0,
        plan=ReleasePlan(OLD, NEW, "canary", (), {}, ""),
    )


def ask_everything(house: House, turn: int) -> None:
    for number in range(12):
        house.infer(f"{turn}-{number}", x=10.0 if number == 5 else float(number % 3))
    lacking = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}]}
    assert house.http.post("/v2/models/m/infer", json=lacking).status_code == 200
    assert house.http.post("/v2/models/m/infer", json={}).status_code == 400
    items = [{"id": f"{turn}-{number}", "label": "yes"} for number in range(12)]
    assert house.http.post("/api/v1/feedback", json={"items": items}).status_code == 200


def test_metrics_are_as_prometheus_wants_them(busy: House) -> None:
    ask_everything(busy, -1)
    text = busy.http.get("/metrics").text
    status, said = promtool("check", "metrics", given=text)
    assert (status, said) == (0, "")
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert kinds.keys() <= HELP.keys()
    assert HELP.keys() - kinds.keys() == set()
    assert all((kind == "counter") == name.endswith("_total") for name, kind in kinds.items())


def test_prometheus_finds_data_for_every_query(busy: House, tmp_path: Path) -> None:
    monitoring.write(tmp_path, [busy.gateway.url.removeprefix("http://")], every="200ms")
    looks.note(busy.root, "u1", step(), 1.0, 0)
    with prometheus.running(tmp_path) as server:
        missing: list[str] = []
        until = time.monotonic() + 60
        wanted = [filled(query) for query in QUERIES if "changes(" not in query]
        wanted += [one for rule in RULES for one in SELECTOR.findall(rule["expr"])]
        for turn in itertools.count():
            ask_everything(busy, turn)
            missing = [query for query in wanted if not measured(server, query)]
            if not missing or time.monotonic() > until:
                break
            time.sleep(0.2)
        assert missing == []
        groups = server.get("rules")["groups"]
        found = {rule["name"]: rule for group in groups for rule in group["rules"]}
        assert found.keys() == {rule["alert"] for rule in RULES}
        assert [rule["lastError"] for rule in found.values() if rule["health"] == "err"] == []
        (here,) = server.ask(f'instar_requests_total{{version="{OLD}",outcome="ok"}}')
        assert 0 < float(here["value"][1]) <= answers(busy)


def measured(server: Prometheus, query: str) -> bool:
    found = server.ask(query)
    return bool(found) and any(one["value"][1] != "NaN" for one in found)


def answers(house: House) -> int:
    return sum(served.requests for served in house.traffic.served().values())
