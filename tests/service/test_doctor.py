"""Each thing that can be wrong is made wrong once; a sound workspace passes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar import provenance
from instar.service import doctor
from tests.service import line

Lines = dict[str, doctor.Line]


def examined(root: Path) -> Lines:
    found = {made.what: made for made in doctor.examine(root, {})}
    for made in found.values():
        assert str(root) not in f"{made.found} {made.todo}"
        assert made.verdict in ("pass", "warn", "fail")
        assert bool(made.todo) == (made.verdict != "pass")
    return found


def code(found: Lines) -> int:
    return doctor.exit_code([made._asdict() for made in found.values()])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    line.lay_out(tmp_path, line.REQUEST).close()
    (tmp_path / ".instar" / "artifacts").mkdir(exist_ok=True)
    return tmp_path


def test_sound_workspace_passes_and_is_left_as_it_was(root: Path) -> None:
    before = sorted(str(file) for file in root.rglob("*"))
    found = examined(root)
    assert {made.what: made.verdict for made in found.values() if made.verdict == "fail"} == {}
    assert code(found) == 0
    assert "synchronous FULL, no memory map, quick check ok" in found["journal"].found
    assert found["chain"].found.startswith("entry 3, ")
    assert found["openat2"].verdict == "pass"
    assert sorted(str(file) for file in root.rglob("*")) == before


def test_place_that_is_no_workspace_is_examined_as_far_as_it_goes(tmp_path: Path) -> None:
    found = examined(tmp_path)
    assert (found["policy"].verdict, code(found)) == ("warn", 0)
    assert "journal" not in found
    assert list(tmp_path.iterdir()) == []


def test_workspace_without_a_ledger_gets_none(tmp_path: Path) -> None:
    (tmp_path / "instar.yaml").write_text(line.YAML)
    found = examined(tmp_path)
    assert (found["journal"].verdict, found["artifacts"].verdict) == ("pass", "pass")
    assert not (tmp_path / ".instar").exists()


def test_database_that_is_gone_or_older_than_its_checkpoint_is_seen(root: Path) -> None:
    old = (root / ".instar" / "ledger.db").read_bytes()
    journal = line.space(root).journal
    journal.append("note", {}, update=None, model="demand", actor="ana")
    journal.checkpoint()
    journal.close()
    sound = examined(root)
    assert (sound["chain"].verdict, sound["ledger key"].verdict) == ("pass", "pass")
    assert "the last checkpoint covers 4" in sound["chain"].found
    (root / ".instar" / "ledger.db").write_bytes(old)
    older = examined(root)
    assert (older["journal"].verdict, code(older)) == ("fail", 1)
    (root / ".instar" / "ledger.db").unlink()
    assert code(examined(root)) == 5


def test_sqlite_says_which_mode_and_why() -> None:
    safe = sqlite3.sqlite_version_info >= (3, 51, 3)
    said = doctor._sqlite().found
    mode = "WAL" if safe else "TRUNCATE"
    assert said.startswith(f"{sqlite3.sqlite_version}, journal mode {mode}: ")
    assert ("can corrupt" in said) != safe


def broken_policy(root: Path) -> None:
    (root / "instar.yaml").write_text(line.YAML + "policy: {admitt: {}}\n")


def damaged(root: Path) -> None:
    (root / ".instar" / "ledger.db").write_bytes(b"no database at all" * 100)


def newer(root: Path) -> None:
    with closing(sqlite3.connect(root / ".instar" / "ledger.db")) as database:
        database.execute("UPDATE meta SET schema_version = 999")
        database.commit()


def altered(root: Path) -> None:
    with closing(sqlite3.connect(root / ".instar" / "ledger.db")) as database:
        database.execute("UPDATE entries SET actor = 'eve' WHERE seq = 3")
        database.commit()


def swapped(root: Path) -> None:
    (root / ".instar" / "artifacts").rmdir()
    (root / "elsewhere").mkdir()
    (root / ".instar" / "artifacts").symlink_to(root / "elsewhere")


def open_key(root: Path) -> None:
    keys = root / ".instar" / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    for name in ("ledger.pem", "ledger.pub"):
        (keys / name).unlink(missing_ok=True)
        (keys / name).touch(mode=0o644)


@pytest.mark.parametrize(
    ("harm", "what", "status"),
    [
        (broken_policy, "policy", 1),
        (damaged, "journal", 1),
        (newer, "journal", 5),
        (altered, "journal", 1),
        (swapped, "artifacts", 5),
        (open_key, "ledger key", 1),
    ],
)
def test_harm_is_seen_with_what_to_do(
    root: Path, harm: Callable[[Path], None], what: str, status: int
) -> None:
    harm(root)
    found = examined(root)
    assert (found[what].verdict, code(found)) == ("fail", status)


@pytest.mark.parametrize("place", [".instar/artifacts", ".instar/ledger.db", ".instar"])
@pytest.mark.parametrize("way", ["read-only", "another owner"])
def test_store_that_cannot_be_written_is_a_store_at_fault(
    root: Path, monkeypatch: pytest.MonkeyPatch, place: str, way: str
) -> None:
    """Root may write everywhere, so that the system's word is put in its place."""
    target, access, stat = root / place, os.access, Path.stat

    def foreign(self: Path, **more: Any) -> Any:
        seen = stat(self, **more)
        return os.stat_result((*seen[:4], seen.st_uid + 1, *seen[5:])) if self == target else seen

    if way == "read-only":
        monkeypatch.setattr(os, "access", lambda p, m: Path(p) != target and access(p, m))
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 7)
        monkeypatch.setattr(Path, "stat", foreign)
    found = examined(root)
    what = "artifacts" if place.endswith("artifacts") else "journal"
    assert found[what].verdict == "fail"
    assert ("read-only" in found[what].found) == (way == "read-only")
    assert "chown" in found[what].todo
    assert code(found) == 5


def test_disk_that_is_mounted_read_only_is_found_by_trying(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refuses(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT and "artifacts" in str(path):
            raise OSError(30, "Read-only file system")
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuses)
    assert examined(root)["artifacts"].found == "Read-only file system"


@pytest.mark.parametrize(("seconds", "said"), [(-3600, "behind"), (-2e9, "long past")])
def test_clock_is_held_against_the_newest_entry(
    root: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, said: str
) -> None:
    now = doctor.time.time()
    monkeypatch.setattr(doctor.time, "time", lambda: now + seconds)
    found = examined(root)
    assert (found["clock"].verdict, said in found["clock"].found) == ("warn", True)


def test_missing_libraries_are_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = provenance.libraries()
    for gone, verdict in (("torch", "warn"), ("sqlalchemy", "fail")):
        left = {name: number for name, number in known.items() if name != gone}
        monkeypatch.setattr(provenance, "libraries", lambda left=left: left)
        found = examined(root)["libraries"]
        assert (found.verdict, f"no {gone}" in found.found) == (verdict, True)


@pytest.mark.parametrize(("free", "verdict"), [(10, "fail"), (1 << 30, "warn"), (1 << 40, "pass")])
def test_free_disk_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str
) -> None:
    class Usage:
        def __init__(self) -> None:
            self.free = free

    monkeypatch.setattr(doctor.environment.shutil, "disk_usage", lambda _: Usage())
    assert examined(tmp_path / "not" / "there")["disk"].verdict == verdict


def test_server_that_does_not_answer_is_a_store_at_fault(root: Path) -> None:
    (root / "instar.yaml").write_text(line.YAML + "store: {journal: 'nosuch://x'}\n")
    found = examined(root)
    assert found["journal"].verdict == "fail"
    assert code(found) in (1, 5)
