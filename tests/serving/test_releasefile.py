from __future__ import annotations

from pathlib import Path

import pytest

from instar.core.finding import Verdict
from instar.core.records import Phase, Release
from instar.core.tools import Route
from instar.serving import releasefile, routefile


def standing(phase: Phase, step: int = 1) -> Release:
    return Release(phase, step, {}, Verdict.PASS, (), "", began_at=0.0, since=0.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    routefile.write(tmp_path, Route("m", 1, {"v": 1.0}, {"v": "sha256:"}, "v", epoch=3))
    return tmp_path


def test_one_phase_is_1_and_the_others_are_0(root: Path) -> None:
    releasefile.keep(root, 3, "w", standing(Phase.PAUSED, 2))
    lines = list(releasefile.exposed("m", root))
    series = dict(line.rsplit(" ", 1) for line in lines if line.startswith("instar_release_phase"))
    assert len(series) == len(Phase)
    assert [name for name, value in series.items() if value == "1"] == [
        'instar_release_phase{model="m",version="w",phase="paused"}'
    ]
    assert 'instar_release_step{model="m",version="w"} 2' in lines


def test_release_whose_leader_lost_the_route_says_nothing(root: Path) -> None:
    releasefile.keep(root, 3, "w", standing(Phase.PAUSED))
    routefile.claim(root, 4)
    assert releasefile.read(root) is None
    releasefile.keep(root, 4, "w", standing(Phase.STEP))
    assert releasefile.read(root) == releasefile.Standing("w", "step", 1, 4)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"version": 1}'])
def test_damaged_file_says_nothing(root: Path, text: bytes) -> None:
    routefile.keep(root, releasefile.NAME, text)
    assert releasefile.read(root) is None
    assert [line for line in releasefile.exposed("m", root) if line[0] != "#"] == []


def test_same_standing_is_written_once(root: Path) -> None:
    releasefile.keep(root, 3, "w", standing(Phase.STEP))
    before = (root / "serve" / releasefile.NAME).stat().st_ino
    releasefile.keep(root, 3, "w", standing(Phase.STEP))
    assert (root / "serve" / releasefile.NAME).stat().st_ino == before
    releasefile.keep(root, 3, "w", standing(Phase.STEP, 2))
    assert (root / "serve" / releasefile.NAME).stat().st_ino != before


def test_disk_that_takes_nothing_stops_no_release(tmp_path: Path) -> None:
    (tmp_path / "serve").write_text("in the way")
    releasefile.keep(tmp_path, 1, "w", standing(Phase.STEP))
    assert releasefile.read(tmp_path) is None
