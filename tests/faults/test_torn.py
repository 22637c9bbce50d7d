"""F17. The end of the ledger's file is torn, or zeros: it ends where the last commit ended."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from instar.ledger.journal import Entry, LedgerDamaged, SqliteJournal
from instar.ledger.sqlite import journal_mode

PAGE = 4096
# Rows enough to spill out of a cache of two pages: the file is half-written when the kill comes.
HALFWAY = """
import os, signal, sqlite3, sys
line = sqlite3.connect(sys.argv[1], isolation_level=None)
for pragma in ("synchronous=FULL", "cache_size=2", "cache_spill=1"):
    line.execute(f"PRAGMA {pragma}")
line.execute("BEGIN IMMEDIATE")
for seq in range(1000, 1000 + int(sys.argv[2])):
    line.execute(
        "INSERT INTO entries (seq, model, kind, body, actor, at, prev, hash)"
        " VALUES (?, 'm', 'note', ?, 'a', 0, ?, ?)",
        (seq, "x" * 900, f"p{seq}", f"h{seq}"),
    )
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    journal = SqliteJournal(path)
    for number in range(20):
        journal.append("note", {"text": f"{number}" * 50}, update=None, model="m", actor="ana")
    journal.close()
    return path


def die_halfway(path: Path, rows: int) -> None:
    done = subprocess.run([sys.executable, "-c", HALFWAY, str(path), str(rows)], check=False)
    assert done.returncode == -signal.SIGKILL


def beside(path: Path) -> Path:
    """Find the file from which SQLite takes a broken transaction back."""
    found = [path.with_name(path.name + end) for end in ("-journal", "-wal")]
    return next(file for file in found if file.exists() and file.stat().st_size)


def zeros(file: Path) -> None:
    """Fill the last two thirds of a page with zeros."""
    data = file.read_bytes()
    file.write_bytes(data[: -PAGE * 2 // 3] + bytes(PAGE * 2 // 3))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: -PAGE // 3])


def nothing(file: Path) -> None:
    pass


def read(path: Path) -> list[Entry]:
    """Open the ledger as it lies, see that it is sound and takes a next entry."""
    journal = SqliteJournal(path)
    try:
        found = journal.entries()
        assert journal.verify() == []
        assert journal.append("note", {}, update=None, model="m", actor="ana").seq == len(found) + 1
        return found
    finally:
        journal.close()


@pytest.mark.parametrize("tear", [nothing, zeros, cut])
def test_file_torn_in_the_middle_of_a_commit_ends_at_the_last_commit(
    path: Path, tear: Callable[[Path], None]
) -> None:
    before, size = path.read_bytes(), path.stat().st_size
    die_halfway(path, rows=200)
    assert beside(path)
    if journal_mode() != "WAL":  # a write-ahead log leaves the file alone
        assert path.stat().st_size > size
        tear(path)
        assert path.read_bytes() != before
    assert [entry.seq for entry in read(path)] == list(range(1, 21))


@pytest.mark.parametrize("tear", [zeros, cut])
def test_log_torn_before_the_commit_is_thrown_away(
    path: Path, tear: Callable[[Path], None]
) -> None:
    die_halfway(path, rows=1)
    log = beside(path)
    log.write_bytes(log.read_bytes().ljust(PAGE, b"\0"))
    tear(log)
    assert [entry.seq for entry in read(path)] == list(range(1, 21))


def test_zeros_that_nothing_takes_back_stop_everything(path: Path) -> None:
    zeros(path)
    zeros(path)
    with pytest.raises(LedgerDamaged):
        read(path)


def test_half_written_rows_are_seen_by_nobody(path: Path) -> None:
    die_halfway(path, rows=200)
    line = sqlite3.connect(path)
    (rows,) = line.execute("SELECT count(*) FROM entries WHERE seq >= 1000").fetchone()
    line.close()
    assert rows == 0


def lie(path: Path) -> None:
    """Let an index say of entry 3 that it is of another kind; the entry itself is sound."""
    line = sqlite3.connect(path, isolation_level=None)
    line.execute("UPDATE entries SET kind = 'lie' WHERE seq = 3")
    kept = line.execute("SELECT * FROM sqlite_schema WHERE name = 'entries_by_model'").fetchone()
    line.execute("PRAGMA writable_schema = ON")
    line.execute("DELETE FROM sqlite_schema WHERE name = 'entries_by_model'")
    line.close()
    line = sqlite3.connect(path, isolation_level=None)
    line.execute("UPDATE entries SET kind = 'note' WHERE seq = 3")
    line.execute("PRAGMA writable_schema = ON")
    line.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", kept)
    line.close()


def test_audit_finds_an_index_that_hides_an_entry(path: Path) -> None:
    lie(path)
    journal = SqliteJournal(path)  # the quick check does not look into indexes
    assert len(journal.entries(model="m", kind="note")) == 19
    with pytest.raises(LedgerDamaged):
        journal.verify()
    journal.close()
