from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import psycopg
import pytest

from instar.core.errors import InstarError
from instar.ledger.journal import (
    Journal,
    LedgerDamaged,
    LedgerFailed,
    LedgerUnreachable,
    NewerLedger,
)
from instar.ledger.postgres import BadAddress, PostgresJournal, UnfitServer, meaning
from instar.testing.contracts.crowd import CrowdContract
from instar.testing.contracts.journal import JournalContract, note
from instar.testing.contracts.leases import LeasesContract
from instar.testing.contracts.tamper import TamperContract
from tests.servers.postgres import PostgresServer


@pytest.fixture
def schema(postgres: PostgresServer) -> str:
    return postgres.schema()


@pytest.fixture
def address(postgres: PostgresServer, schema: str) -> str:
    return postgres.address(schema)


@pytest.fixture
def open_journal(address: str) -> Iterator[Callable[[], PostgresJournal]]:
    opened: list[PostgresJournal] = []

    def open_() -> PostgresJournal:
        opened.append(PostgresJournal(address))
        return opened[-1]

    yield open_
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(open_journal: Callable[[], PostgresJournal]) -> PostgresJournal:
    return open_journal()


@pytest.fixture
def sql(postgres: PostgresServer, schema: str) -> Callable[[str], None]:
    def run(statement: str) -> None:
        postgres.sql(f"SET search_path = {schema}; {statement}")

    return run


class TestPostgresJournal(JournalContract, LeasesContract, CrowdContract):
    pass


class TestPostgresJournalTampered(TamperContract):
    pass


def setting(journal: PostgresJournal, name: str) -> str:
    with journal._engine.connect() as connection:
        return str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("synchronous_commit", "on"),
        ("statement_timeout", "15s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("application_name", "instar"),
    ],
)
def test_connection_is_set_up(journal: PostgresJournal, name: str, value: str) -> None:
    assert setting(journal, name) == value


def test_connection_commits_to_the_disk_whatever_the_address_asks_for(
    address: str, postgres: PostgresServer
) -> None:
    journal = PostgresJournal(f"{address}%20-csynchronous_commit%3Doff")
    assert setting(journal, "synchronous_commit") == "on"
    journal.close()


@pytest.mark.parametrize(("name", "wanted"), [("fsync", "on"), ("full_page_writes", "on")])
def test_open_refuses_a_server_that_loses_what_it_confirms(
    address: str, postgres: PostgresServer, name: str, wanted: str
) -> None:
    postgres.sql(f"ALTER SYSTEM SET {name} = off")
    postgres.sql("SELECT pg_reload_conf()")
    try:
        wait_for(postgres, name, "off")
        with pytest.raises(UnfitServer, match=f"{name} {wanted}"):
            PostgresJournal(address)
    finally:
        postgres.sql(f"ALTER SYSTEM RESET {name}")
        postgres.sql("SELECT pg_reload_conf()")
        wait_for(postgres, name, "on")


def wait_for(postgres: PostgresServer, name: str, value: str) -> None:
    while postgres.sql(f"SHOW {name}") != [(value,)]:
        pass


def test_open_refuses_a_database_that_is_not_utf8(postgres: PostgresServer) -> None:
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(UnfitServer, match="UTF8"):
        PostgresJournal(f"postgresql://postgres@/latin?host={postgres.folder}")


def test_open_refuses_a_newer_schema(
    open_journal: Callable[[], Journal], sql: Callable[[str], None]
) -> None:
    open_journal()
    sql("UPDATE meta SET schema_version = 99")
    with pytest.raises(NewerLedger, match="schema 99"):
        open_journal()


@pytest.mark.parametrize("text", ["postgresql//x", "mysql://h/d", "postgresql+asyncpg://h/d"])
def test_open_refuses_what_is_no_address_of_postgresql(text: str) -> None:
    with pytest.raises(BadAddress):
        PostgresJournal(text)


def test_ledgers_in_two_schemas_do_not_meet(postgres: PostgresServer) -> None:
    one, two = (PostgresJournal(postgres.address(postgres.schema())) for _ in range(2))
    note(one)
    assert two.entries() == []
    with one._writing():  # nor do their locks
        assert note(two).seq == 1
    one.close()
    two.close()


def test_reader_does_not_wait_for_a_writer(open_journal: Callable[[], PostgresJournal]) -> None:
    journal, other = open_journal(), open_journal()
    first = note(journal)
    with journal._writing() as connection:
        journal._seal(connection, dataclasses.replace(first, key="other"))
        assert other.entries() == [first]


def test_tables_of_somebody_else_are_no_ledger(address: str, sql: Callable[[str], None]) -> None:
    sql("CREATE TABLE meta (name text)")
    with pytest.raises(LedgerDamaged, match="UndefinedColumn"):
        PostgresJournal(address)


def test_user_without_rights_is_told_so(postgres: PostgresServer, schema: str) -> None:
    postgres.sql("DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN")
    address = postgres.address(schema).replace("postgres@", "poor@")
    with pytest.raises(LedgerFailed, match="no schema that it may use"):
        PostgresJournal(address)


@pytest.mark.parametrize(
    ("state", "code", "retryable"),
    [
        ("40001", "backend.ledger_contended", True),
        ("40P01", "backend.ledger_contended", True),
        ("55P03", "backend.ledger_busy", True),
        ("57014", "backend.ledger_busy", True),
        ("25P03", "backend.ledger_unreachable", True),
        ("57P01", "backend.ledger_unreachable", True),
        ("57P03", "backend.ledger_unreachable", True),
        ("08006", "backend.ledger_unreachable", True),
        ("53300", "backend.ledger_unreachable", True),
        ("25006", "backend.ledger", False),
        ("53100", "backend.ledger", False),
        ("42501", "backend.ledger", False),
        ("58030", "backend.ledger", False),
        ("XX001", "integrity.ledger_damaged", False),
        ("42P01", "integrity.ledger_damaged", False),
    ],
)
def test_meaning_says_whether_to_try_again(state: str, code: str, *, retryable: bool) -> None:
    told = meaning(psycopg.errors.lookup(state)("of the server, with 'a value'"))
    assert told is not None
    assert (told.code, getattr(told, "retryable", False)) == (code, retryable)
    assert "a value" not in str(told)


def test_meaning_leaves_broken_rules_as_they_are() -> None:
    assert meaning(psycopg.errors.UniqueViolation()) is None


@pytest.fixture
def secretive(postgres: PostgresServer, schema: str) -> str:
    """An address with a password in it, escaped as it should be."""
    if not postgres.sql("SELECT 1 FROM pg_roles WHERE rolname = 'secretive'"):
        postgres.sql("CREATE ROLE secretive LOGIN PASSWORD 'hunter2/@x'")
    postgres.sql(f"GRANT ALL ON SCHEMA {schema} TO secretive")
    return postgres.address(schema).replace("postgres@", "secretive:hunter2%2F%40x@")


def parts(error: BaseException) -> str:
    told = []
    while error is not None:
        told += [str(error), repr(error)] if isinstance(error, InstarError) else []
        error = error.__cause__
    return " ".join(told)


def test_password_is_in_no_name_of_the_journal(secretive: str) -> None:
    journal = PostgresJournal(secretive)
    note(journal)
    told = [repr(journal), repr(journal._engine), str(journal.entries())]
    assert "hunter2" not in "".join(told)
    journal.close()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("hunter2%2F%40x", "hunter2wrong"), "refuses the login"),
        (("/postgres?", "/nowhere?"), "no such database"),
        (("secretive:", "nobody:"), "does not know the user"),
        (("postgresql://", "postgres3://"), "postgres3://secretive:[*]{3}@"),
        (("?host", "?hunter2=1&host"), "an option"),
        (("?host=/", "?host=/hunter2/"), "broken connection"),
    ],
)
def test_password_is_in_no_message(
    secretive: str, change: tuple[str, str], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instar.ledger.postgres.OPENING_S", 0.2)
    with pytest.raises(InstarError, match=match) as caught:
        PostgresJournal(secretive.replace(*change))
    assert "hunter2" not in parts(caught.value)


def test_nobody_at_the_address_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instar.ledger.postgres.OPENING_S", 0.2)
    with pytest.raises(LedgerUnreachable, match="nobody") as caught:
        PostgresJournal("postgresql://ana@127.0.0.1:1/instar")
    assert caught.value.retryable
