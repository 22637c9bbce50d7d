from __future__ import annotations

from pathlib import Path

import pytest

from instar.core.finding import Verdict
from instar.core.records import Phase, Release, ReleasePlan
from instar.core.tools import Route
from instar.serving import looks, routefile

PLAN = ReleasePlan("v", "w", "canary", (), {}, "sha256:")


def standing(phase: Phase, step: int = 1, reason: str = "") -> Release:
    return Release(phase, step, {}, Verdict.PASS, (), reason, began_at=0.0, since=0.0, plan=PLAN)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    routefile.write(tmp_path, Route("m", 1, {"v": 1.0}, {"v": "sha256:"}, "v", epoch=3))
    return tmp_path


def told(root: Path) -> dict[str, str]:
    lines = [line for line in looks.exposed("m", root) if line[0] != "#"]
    return dict(line.rsplit(" ", 1) for line in lines)


def test_one_phase_is_1_and_the_others_are_0(root: Path) -> None:
    looks.note(root, "u1", standing(Phase.STEP), 1.0, 3)
    looks.note(root, "u1", standing(Phase.PAUSED, 2), 2.0, 3)
    series = told(root)
    assert series.pop('instar_release_step{model="m",version="w"}') == "2"
    assert len(series) == len(Phase)
    assert [name for name, value in series.items() if value == "1"] == [
        'instar_release_phase{model="m",version="w",phase="paused"}'
    ]


def test_release_whose_leader_lost_the_route_says_nothing(root: Path) -> None:
    looks.note(root, "u1", standing(Phase.PAUSED), 1.0, 3)
    assert told(root)
    routefile.claim(root, 4)
    assert told(root) == {}
    looks.note(root, "u2", standing(Phase.STEP), 2.0, 4)
    assert told(root)['instar_release_phase{model="m",version="w",phase="step"}'] == "1"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"update": "u1"}'])
def test_damaged_file_says_nothing(root: Path, text: bytes) -> None:
    routefile.keep(root, "looks.jsonl", text)
    assert told(root) == {}
    looks.note(root, "u1", standing(Phase.STEP), 1.0, 3)
    assert told(root)


def test_looks_are_bounded_and_a_line_that_was_cut_off_is_passed_over(root: Path) -> None:
    for n in range(400):
        looks.note(root, "u1", standing(Phase.STEP, n, reason="x" * 2000), float(n), 3)
    folder = root / "serve"
    assert sum(file.stat().st_size for file in folder.glob("looks*")) < 600_000
    with (folder / "looks.jsonl").open("a") as file:
        file.write('\n{"update": "u1", "at": 5')
    found = looks.last(root, "u1")
    assert found
    assert (found["at"], found["release"]["step"]) == (399, 399)
    assert looks.last(root, "u2") is None


def test_disk_that_takes_nothing_stops_no_release(tmp_path: Path) -> None:
    (tmp_path / "serve").write_text("in the way")
    looks.note(tmp_path, "u1", standing(Phase.STEP), 1.0, 1)
    assert looks.last(tmp_path) is None
