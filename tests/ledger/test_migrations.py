from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from instar.core.errors import IntegrityError
from instar.ledger import sqlite
from instar.ledger.files import StoreFailed
from instar.ledger.journal import GENESIS, LedgerDamaged, SqliteJournal
from instar.ledger.migrations import STEPS
from instar.ledger.postgres import PostgresJournal
from instar.ledger.sql import SqlJournal
from instar.ledger.tables import SCHEMA_VERSION, tables
from instar.testing.contracts.journal import crown, note
from tests.ledger import version1
from tests.servers.postgres import PostgresServer

Open = Callable[[], SqlJournal]


@pytest.fixture(params=["sqlite", "postgres"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Lay a ledger of version 1, and give what opens it."""
    opened: list[SqlJournal] = []
    if request.param == "sqlite":
        version1.lay_file(tmp_path / "ledger.db")
        make = lambda: SqliteJournal(tmp_path / "ledger.db")  # noqa: E731
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        schema = server.schema()
        version1.lay(lambda statement: server.sql(f"SET search_path = {schema}; {statement}"))
        make = lambda: PostgresJournal(server.address(schema))  # noqa: E731

    def open_() -> SqlJournal:
        opened.append(make())
        return opened[-1]

    yield open_
    for journal in opened:
        journal.close()


def test_every_version_has_its_step() -> None:
    assert list(STEPS) == list(range(2, SCHEMA_VERSION + 1))


def test_migrated_tables_are_those_of_the_metadata(older: Open) -> None:
    with older()._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, tables) == []
        checked = inspect(connection)
        for table in tables.sorted_tables:  # which Alembic does not compare
            keys = checked.get_foreign_keys(table.name)
            told = {(key["constrained_columns"][0], key["referred_table"]) for key in keys}
            meant = {(key.parent.name, key.column.table.name) for key in table.foreign_keys}
            assert told == meant
            unique = {
                tuple(each["column_names"]) for each in checked.get_unique_constraints(table.name)
            }
            assert unique == {(column.name,) for column in table.columns if column.unique}
            assert checked.get_pk_constraint(table.name)["constrained_columns"] == [
                column.name for column in table.primary_key.columns
            ]


def test_older_ledger_says_what_it_said(older: Open) -> None:
    journal = older()
    assert journal.verify() == []
    entries = journal.entries()
    assert [entry.kind for entry in entries] == ["adoption", "request", "note"]
    assert [entry.key for entry in entries] == [None, "u0001", None]
    assert {entry.work for entry in entries} == {None}
    assert entries[0].prev == GENESIS
    assert entries[0].body == {"name": "v1", "text": "ä"}
    assert journal.champion("demand") == journal.undelivered()[0] == entries[0]


def test_older_ledger_goes_on(older: Open) -> None:
    journal = older()
    made = note(journal, work={"stage": "train"})
    assert (made.seq, made.prev) == (4, journal.entries()[2].hash)
    assert crown(journal, 1).seq == 5
    assert journal.acquire("demand", "w1", 10, 0.0) == 8  # epochs go on, too
    assert older().verify() == []


def test_older_ledger_is_migrated_once(older: Open) -> None:
    first, second = older(), older()
    assert first.entries() == second.entries()


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    lines = list(connection.iterdump())
    connection.close()
    return lines


@pytest.fixture
def file(tmp_path: Path) -> Path:
    version1.lay_file(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


def names(folder: Path) -> list[str]:
    """The files of a folder, less SQLite's own."""
    found = (path.name for path in folder.iterdir())
    return sorted(name for name in found if not name.endswith(("-journal", "-wal", "-shm")))


def test_copy_of_the_older_file_is_kept(file: Path) -> None:
    file.chmod(0o640)
    before = dump(file)
    SqliteJournal(file).close()
    kept = file.with_name("ledger.db.v1.bak")
    assert dump(kept) == before
    assert kept.stat().st_mode & 0o777 == 0o640
    assert names(file.parent) == ["ledger.db", "ledger.db.v1.bak"]


def test_copy_can_take_the_place_of_the_file(file: Path) -> None:
    SqliteJournal(file).close()
    file.with_name("ledger.db.v1.bak").rename(file)
    journal = SqliteJournal(file)
    assert journal.verify() == []
    journal.close()


def test_ledger_that_cannot_be_copied_stays_as_it_is(file: Path) -> None:
    before = dump(file)
    file.with_name("ledger.db.v1.bak").mkdir()  # no file can be renamed to it
    with pytest.raises(StoreFailed):
        SqliteJournal(file)
    assert dump(file) == before


@pytest.mark.parametrize(
    "change",
    ["UPDATE entries SET actor = 'eve' WHERE seq = 2", "DELETE FROM outbox", "DROP TABLE leases"],
)
def test_ledger_whose_copy_is_not_the_same_stays_as_it_is(
    file: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(name: str) -> None:
        if name == "ledger.copy.unchecked":
            with sqlite3.connect(f"{file}.v1.bak.part") as connection:
                connection.execute(change)
            connection.close()

    before = dump(file)
    monkeypatch.setattr(sqlite, "crashpoint", spoil)
    with pytest.raises(LedgerDamaged, match="a copy with other"):
        SqliteJournal(file)
    assert dump(file) == before
    assert not file.with_name("ledger.db.v1.bak").exists()


def test_altered_older_ledger_is_still_told(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE entries SET actor = 'eve' WHERE seq = 2")
    connection.close()
    journal = SqliteJournal(file)
    assert [(problem.seq, problem.code) for problem in journal.verify()] == [(2, "altered")]
    with pytest.raises(IntegrityError):
        journal.entries()
    journal.close()


def test_new_ledger_keeps_no_copy(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / "ledger.db").close()
    assert names(tmp_path) == ["ledger.db"]


def test_ledger_whose_tables_were_laid_without_a_version_is_finished(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    tables.create_all(engine)
    engine.dispose()
    journal = SqliteJournal(tmp_path / "ledger.db")
    assert note(journal).seq == 1
    journal.close()
