"""F11-F15: the disk refuses one operation after another; nothing half done is left behind.

For each operation that a piece of work asks of the disk, and each error: the mistake has a code,
no half file and no open file stays, and the same work done again succeeds.
"""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import apsw
import pytest
import torch

from instar.core.digest import digest_bytes
from instar.core.tools import Route
from instar.ledger import files
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.files import NEW, Disk, DiskFull, StoreFailed
from instar.ledger.journal import LedgerFailed, SqliteJournal
from instar.ledger.keys import private_key
from instar.ledger.safedir import SafeDir
from instar.serving import routefile
from instar.serving.log import Feedback, Log
from instar.stages.train import checkpoint
from instar.testing import vfs
from instar.testing.contracts.journal import crown, note
from instar.testing.disks import FailingDisk

A = b"weights" * 10
ROUTE = Route("m", 1, {"old": 1.0}, {"old": "sha256:0"}, "old")
CODES = ("ENOSPC", "EIO", "EMFILE", "EROFS", "EDQUOT")


@dataclass(frozen=True)
class Piece:
    """Work in a folder that may be done again, and whether it is done, wholly."""

    work: Callable[[Path], object]
    is_done: Callable[[Path], bool]
    before: Callable[[Path], object] = lambda root: None


def store(root: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(root / "artifacts")


def point(epoch: int) -> checkpoint.Checkpoint:
    return checkpoint.Checkpoint("key", {"net/w": torch.full((9,), float(epoch))}, {"e": epoch})


def saved(root: Path) -> bool:
    found, damaged = checkpoint.load(SafeDir(root / "scratch"), "key")
    assert damaged == []
    assert found is not None  # the one before is never lost
    assert torch.equal(found.tensors["net/w"], point(found.plain["e"]).tensors["net/w"])
    return bool(found.plain["e"] == 2)


def routed(root: Path) -> bool:
    found = routefile.read(root)
    assert found in (ROUTE, replace(ROUTE, generation=2))
    return found != ROUTE


def move(root: Path) -> None:
    if not routed(root):
        routefile.write(root, replace(ROUTE, generation=2))


def logged(root: Path) -> None:
    log = Log(root)
    log.append(Feedback("id", 1.0))
    log.flush()


PIECES = {
    "put": Piece(
        lambda root: store(root).put(A),
        lambda root: digest_bytes(A) in store(root) and store(root).read(digest_bytes(A)) == A,
    ),
    "put a file": Piece(
        lambda root: store(root).put_file(root / "source"),
        lambda root: digest_bytes(A) in store(root) and store(root).read(digest_bytes(A)) == A,
        lambda root: (root / "source").write_bytes(A),
    ),
    "read": Piece(
        lambda root: store(root).read(digest_bytes(A)),
        lambda root: store(root).read(digest_bytes(A)) == A,
        lambda root: store(root).put(A),
    ),
    "replace the route": Piece(move, routed, lambda root: routefile.write(root, ROUTE)),
    "make a key": Piece(
        lambda root: private_key(root, "ledger"),
        lambda root: (root / "keys/ledger.pub").exists() and (root / "keys/ledger.pem").exists(),
    ),
    "save a checkpoint": Piece(
        lambda root: checkpoint.save(SafeDir(root / "scratch"), point(2)),
        saved,
        lambda root: checkpoint.save(SafeDir(root / "scratch"), point(1)),
    ),
    "write the log": Piece(logged, lambda root: bool([*Log(root).events()])),
}


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def leaked(before: int) -> int:
    if handles() > before:
        gc.collect()  # a traceback in a cycle holds a folder's handle
    return max(0, handles() - before)


def begun(piece: Piece, root: Path) -> Path:
    root.mkdir(parents=True)
    piece.before(root)
    return root


def count(piece: Piece, root: Path) -> int:
    """How many operations the work asks of a disk that fails none."""
    disk = FailingDisk(0, errno.EIO)
    begun(piece, root)
    with files.using(disk):
        piece.work(root)
    return len(disk.seen)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", PIECES)
def test_refused_operation_leaves_nothing_half_done(name: str, code: str, memory: Path) -> None:
    piece, number = PIECES[name], getattr(errno, code)
    for at in range(1, count(piece, memory / "counted") + 1):
        root = begun(piece, memory / str(at))
        before = handles()
        with files.using(disk := FailingDisk(at, number)), pytest.raises(StoreFailed) as caught:
            piece.work(root)
        where = f"operation {at}, {disk.seen[at - 1]}"
        full = number in (errno.ENOSPC, errno.EDQUOT)
        assert isinstance(caught.value, DiskFull) == full, where
        assert caught.value.code == ("backend.disk_full" if full else "backend.store")
        assert str(memory) not in str(caught.value)
        assert not list(root.rglob(f"{NEW}*")), where
        del caught
        assert leaked(before) == 0, where
        piece.work(root)
        assert piece.is_done(root), where


@pytest.mark.parametrize("name", PIECES)
def test_disk_that_stays_broken_is_told_and_mends(name: str, memory: Path) -> None:
    piece = PIECES[name]
    for at in range(1, count(piece, memory / "counted") + 1):
        root = begun(piece, memory / str(at))
        before = handles()
        with (
            files.using(FailingDisk(at, errno.EIO, lasting=True)),
            pytest.raises((StoreFailed, FileNotFoundError)) as caught,
        ):
            piece.work(root)
        assert isinstance(caught.value, StoreFailed)
        del caught
        assert leaked(before) == 0
        piece.work(root)
        assert piece.is_done(root)


@pytest.mark.parametrize("name", PIECES)
def test_short_write_is_carried_on(name: str, memory: Path) -> None:
    piece = PIECES[name]
    for at in range(1, count(piece, memory / "counted") + 1):
        root = begun(piece, memory / str(at))
        disk = FailingDisk(at, errno.EIO, short=True)
        try:
            with files.using(disk):
                piece.work(root)
        except StoreFailed:
            assert disk.seen[at - 1] != "write"
            continue
        assert disk.seen[at - 1] == "write"
        assert piece.is_done(root)


class Forgetful(Disk):
    """Fail the first fsync of a file, as after EIO: its bytes are gone, the next one says yes."""

    def __init__(self) -> None:
        self.called: list[Path] = []

    def fsync(self, handle: int) -> None:
        place = Path(f"/proc/self/fd/{handle}").readlink()
        if not place.is_dir():
            assert place not in self.called  # files have names that are drawn, and never again
            self.called.append(place)
            if len(self.called) == 1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("name", ["put", "replace the route", "make a key", "save a checkpoint"])
def test_file_whose_fsync_failed_is_never_forced_again(name: str, memory: Path) -> None:
    piece, disk = PIECES[name], Forgetful()
    root = begun(piece, memory / "root")
    with files.using(disk):
        with pytest.raises(StoreFailed):
            piece.work(root)
        assert len(disk.called) == 1
        piece.work(root)
    assert len(disk.called) >= 2
    assert piece.is_done(root)
    assert not list(root.rglob(f"{NEW}*"))


# SQLite, on a disk of APSW's.

MEANINGS = {
    "full": apsw.SQLITE_FULL,
    "io": apsw.SQLITE_IOERR_FSYNC,
    "no handles": apsw.SQLITE_CANTOPEN,
    "read-only": apsw.SQLITE_READONLY,
}
RARE = ("no handles", "read-only")


def promote(path: Path) -> int:
    journal = SqliteJournal(path)
    try:
        return crown(journal, 1, key="u1").seq
    finally:
        journal.close()


def adopted(path: Path) -> None:
    journal = SqliteJournal(path)
    crown(journal, None)
    note(journal)
    journal.close()


def sound(path: Path) -> list[str]:
    journal = SqliteJournal(path)
    try:
        assert journal.verify() == []
        champion = journal.champion("demand")
        kinds = [entry.kind for entry in journal.entries()]
        assert champion is not None
        assert champion.seq == (3 if "promotion" in kinds else 1)
        return kinds
    finally:
        journal.close()


@pytest.mark.parametrize(
    ("mode", "meaning"),
    [
        ("TRUNCATE", "full"),
        ("WAL", "io"),
        pytest.param("TRUNCATE", "io", marks=pytest.mark.thorough),
        pytest.param("WAL", "full", marks=pytest.mark.thorough),
        *(
            pytest.param(mode, meaning, marks=pytest.mark.thorough)
            for mode in ("TRUNCATE", "WAL")
            for meaning in RARE
        ),
    ],
)
def test_promotion_on_a_disk_that_refuses_is_whole_or_not(
    mode: str, meaning: str, memory: Path
) -> None:
    with vfs.using(vfs.failing(calls := vfs.FailingCalls(0)), mode):
        adopted(memory / "counted.db")
        calls.seen.clear()
        promote(memory / "counted.db")
        steps = len(calls.seen)
    assert steps > 5
    for at in range(1, steps + 1):
        path = memory / f"{at}.db"
        with vfs.using(vfs.failing(vfs.FailingCalls(0)), mode):
            adopted(path)
        before = handles()
        acknowledged, told = False, ""
        with vfs.using(vfs.failing(calls := vfs.FailingCalls(at, MEANINGS[meaning])), mode):
            try:
                promote(path)
                acknowledged = True  # the rest, say a checkpoint of the WAL, can wait
            except LedgerFailed as error:
                told = str(error)
        assert "/" not in told
        assert leaked(before) == 0
        with vfs.using(vfs.failing(vfs.FailingCalls(0)), mode):
            found = sound(path)
            assert found in (["adoption", "note"], ["adoption", "note", "promotion"])
            assert "promotion" in found or not acknowledged
            assert promote(path) == 3
            assert sound(path) == ["adoption", "note", "promotion"]


def test_ledger_on_a_full_disk_is_a_failed_ledger(memory: Path) -> None:
    full = vfs.failing(vfs.FailingCalls(1, MEANINGS["full"], lasting=True))
    with vfs.using(full, "TRUNCATE"), pytest.raises(LedgerFailed):
        SqliteJournal(memory / "ledger.db")
