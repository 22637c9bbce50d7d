from __future__ import annotations

from pathlib import Path

import pytest

from instar.serving import log as module
from instar.serving.log import Answered, Feedback, Log


def answered(name: str) -> Answered:
    return Answered(name, "v", 3, 0.25, 1.5, "ok", [[0.1, 0.9]])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "serve").mkdir()
    return tmp_path


def test_events_come_back_in_order(root: Path) -> None:
    log = Log(root)
    events = [answered("a"), Feedback("a", 1.0), answered("b")]
    for event in events:
        log.append(event)
    log.flush()
    assert list(Log(root).events()) == events


def test_line_cut_off_by_a_crash_costs_only_itself(root: Path) -> None:
    log = Log(root)
    log.append(answered("a"))
    log.append(answered("b"))
    log.flush()
    path = root / "serve" / "log.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    again = Log(root)
    again.append(answered("c"))
    again.flush()
    assert [event.id for event in Log(root).events()] == ["a", "c"]


def test_full_file_makes_way_and_the_one_before_is_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FULL", 200)
    log = Log(root)
    for n in range(40):
        log.append(answered(f"r{n}"))
        log.flush()
    kept = [event.id for event in log.events()]
    assert kept == [f"r{n}" for n in range(40)][-len(kept) :]
    assert 3 <= len(kept) < 40
    assert sum(path.stat().st_size for path in (root / "serve").iterdir()) < 1_000


def test_disk_that_hangs_costs_the_oldest_lines(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAITING", 5)
    log = Log(root)
    for n in range(8):
        log.append(answered(f"r{n}"))
    assert log.dropped == 3
    log.flush()
    assert [event.id for event in log.events()] == ["r3", "r4", "r5", "r6", "r7"]
