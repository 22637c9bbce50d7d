"""The demo, as a newcomer runs it: four acts that end as they must."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "instar", "demo", "--json", "--folder", str(folder / "play")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout), folder=folder / "play")


def test_demo_ends_each_act_as_written(played: dict[str, Any]) -> None:
    acts = played["acts"]
    ends = [act["state"] for act in acts]
    assert ends == ["promoted", "refused", "rolled back", "rolled back"]
    assert [act["verdict"] for act in acts] == ["pass", "fail", "inconclusive", "pass"]
    good, bad, peek, back = acts
    assert good["champion_after"] != good["champion_before"]
    assert bad["champion_after"] == bad["champion_before"] == good["champion_after"]
    assert peek["champion_after"] == peek["champion_before"]
    assert back["champion_after"] == good["champion_before"]


def test_demo_measures_its_acts(played: dict[str, Any]) -> None:
    good, bad, peek, back = played["acts"]
    assert good["metric"] == "auroc"
    assert good["interval"]["low"] < good["difference"] < good["interval"]["high"]
    assert good["candidate"] - good["champion"] == pytest.approx(good["difference"], abs=1e-6)
    for who in ("champion", "candidate"):
        assert good[f"{who}_interval"]["low"] < good[who] < good[f"{who}_interval"]["high"]
    assert peek["candidate"] - peek["champion"] > 0.1
    assert any("Celsius" in line and "LGA" in line for line in bad["said"])
    assert any("labels of rows" in line for line in bad["said"])
    assert sum(act["seconds"] for act in played["acts"]) < played["seconds"]
    for act in (good, peek, back):
        assert act["facts"]["requests"] > 0
        assert act["facts"]["failed"] == 0


def test_demo_leaves_reports(played: dict[str, Any]) -> None:
    for act in played["acts"][:3]:
        page = Path(act["report"]).read_text("utf-8")
        assert act["update"] in page
        assert "<script" not in page
