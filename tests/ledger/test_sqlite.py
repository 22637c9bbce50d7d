from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from instar.ledger.journal import (
    Journal,
    LedgerBusy,
    LedgerDamaged,
    LedgerFailed,
    NewerLedger,
    SqliteJournal,
)
from instar.ledger.sqlite import journal_mode, verdict
from instar.testing.contracts.crowd import CrowdContract
from instar.testing.contracts.journal import JournalContract, crown, note
from instar.testing.contracts.leases import LeasesContract
from instar.testing.contracts.tamper import TamperContract


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def open_journal(path: Path) -> Iterator[Callable[[], Journal]]:
    opened: list[Journal] = []

    def open_() -> Journal:
        opened.append(SqliteJournal(path))
        return opened[-1]

    yield open_
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(open_journal: Callable[[], Journal]) -> Journal:
    return open_journal()


class TestSqliteJournal(JournalContract, LeasesContract, CrowdContract):
    pass


class TestSqliteJournalTampered(TamperContract):
    @pytest.fixture
    def sql(self, path: Path) -> Callable[[str], None]:
        def run(statement: str) -> None:
            with sqlite3.connect(path) as connection:
                connection.execute(statement)
            connection.close()

        return run


def pragma(path: Path, name: str) -> object:
    journal = SqliteJournal(path)
    try:
        with journal._engine.connect() as connection:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
    finally:
        journal.close()


def test_sqlite_journal_forces_every_commit_to_the_disk(path: Path) -> None:
    assert pragma(path, "synchronous") == 2  # FULL
    assert pragma(path, "mmap_size") == 0
    assert str(pragma(path, "journal_mode")).upper() == journal_mode()


@pytest.mark.parametrize(
    ("library", "mode"),
    [((3, 40, 1), "TRUNCATE"), ((3, 51, 2), "TRUNCATE"), ((3, 51, 3), "WAL"), ((4, 0, 0), "WAL")],
)
def test_journal_mode_is_wal_only_where_it_is_safe(library: tuple[int, ...], mode: str) -> None:
    assert journal_mode(library) == mode


def test_verdict_says_which_library_keeps_the_ledger_how_and_why() -> None:
    assert verdict().version == sqlite3.sqlite_version
    assert (verdict().mode, verdict((3, 51, 3)).mode) == (journal_mode(), "WAL")
    assert "corrupt" in verdict((3, 51, 2)).why
    assert "sound" in verdict((3, 52, 0)).why


def test_open_refuses_a_file_that_another_keeps_in_a_wal_unsafe_here(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqliteJournal(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("SELECT * FROM meta").fetchall()
    monkeypatch.setattr("instar.ledger.sqlite.BUSY_S", 0.05)
    monkeypatch.setattr("instar.ledger.sqlite.journal_mode", lambda: "TRUNCATE")
    with pytest.raises(LedgerBusy):
        SqliteJournal(path)
    other.close()
    SqliteJournal(path).close()
    assert pragma(path, "journal_mode") == "truncate"


def test_sqlite_journal_dates_entries_by_its_clock(path: Path) -> None:
    journal = SqliteJournal(path, clock=lambda: 12.34567)
    assert note(journal).at == 12.346
    journal.close()


def test_sqlite_journal_makes_its_folder(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / ".instar" / "ledger.db").close()
    assert (tmp_path / ".instar" / "ledger.db").is_file()


def test_open_and_read_need_no_write_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instar.ledger.sqlite.BUSY_S", 0.05)
    SqliteJournal(path).close()
    writer = sqlite3.connect(path)
    writer.execute("BEGIN IMMEDIATE")
    journal = SqliteJournal(path)
    assert journal.entries() == journal.verify() == []
    journal.close()
    writer.close()


def test_open_refuses_a_newer_schema(path: Path) -> None:
    SqliteJournal(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET schema_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NewerLedger, match="schema 99"):
        SqliteJournal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_open_refuses_a_file_that_is_no_database(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerDamaged):
        SqliteJournal(path)
    assert path.read_bytes() == content


def test_open_refuses_a_damaged_page(path: Path) -> None:
    journal = SqliteJournal(path)
    for _ in range(50):
        note(journal, "x" * 500)
    journal.close()
    data = bytearray(path.read_bytes())
    page = next(at for at in range(4096, len(data), 4096) if b"x" * 100 in data[at : at + 4096])
    data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(LedgerDamaged):
        SqliteJournal(path)


def test_open_reports_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LedgerFailed):
        SqliteJournal(tmp_path / "file" / "ledger.db")


def test_open_reports_a_place_that_is_a_folder(path: Path) -> None:
    path.mkdir()
    with pytest.raises(LedgerFailed) as caught:
        SqliteJournal(path)
    assert str(path) not in str(caught.value)


def test_append_behind_a_lasting_lock_is_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instar.ledger.sqlite.BUSY_S", 0.05)
    journal = SqliteJournal(path)
    blocker = sqlite3.connect(path)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusy) as caught:
        note(journal)
    assert caught.value.retryable
    blocker.close()
    assert note(journal).seq == 1
    journal.close()


def test_append_on_a_full_disk_fails_and_leaves_nothing(path: Path) -> None:
    journal = SqliteJournal(path)
    with journal._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # as small as it already is
    with pytest.raises(LedgerFailed, match="full"):
        note(journal, "x" * 100_000)
    assert journal.entries() == []
    journal.close()


def test_journal_is_read_by_the_page_in_one_pass(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instar.ledger.rows.PAGE", 2)
    journal = SqliteJournal(path)
    crown(journal, None)
    for _ in range(6):
        note(journal)
    assert journal.verify() == []
    journal.close()


PROMOTER = """
# warm
import sys
from pathlib import Path
from instar.ledger.journal import SqliteJournal
from instar.testing.contracts.crowd import CrowdContract
from instar.testing.contracts.journal import crown

journal = SqliteJournal(Path(sys.argv[1]))
print(*{crown(journal, 1, key="u1").seq for _ in range(25)})
"""


def test_promotions_by_many_processes_promote_once(path: Path) -> None:
    journal = SqliteJournal(path)
    crown(journal, None)
    command = [sys.executable, "-c", PROMOTER, str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0].strip() for process in running] == ["2"] * 3
    assert len(journal.entries()) == 2
    journal.close()


def test_append_holds_the_write_lock_before_it_reads_the_last_entry(path: Path) -> None:
    """The date is asked for between the two: nobody else can begin to write then."""
    tried: list[str] = []

    def clock() -> float:
        with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
                tried.append("free")
            except sqlite3.OperationalError as error:
                tried.append(str(error))
        return 1.8e9

    with contextlib.closing(SqliteJournal(path, clock=clock)) as journal:
        note(journal)
    assert tried
    assert set(tried) == {"database is locked"}
