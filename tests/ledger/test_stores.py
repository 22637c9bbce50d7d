from __future__ import annotations

import sys
from pathlib import Path

import pytest

from instar.core.errors import UnknownName
from instar.core.policy import StoreSettings
from instar.ledger.journal import SqliteJournal
from instar.ledger.postgres import PostgresJournal
from instar.ledger.stores import MissingExtra, begun, open_journal
from tests.servers.postgres import PostgresServer


def test_journal_is_a_file_of_the_workspace_unless_told_otherwise(tmp_path: Path) -> None:
    assert not begun(tmp_path, StoreSettings())
    journal = open_journal(tmp_path, StoreSettings())
    assert isinstance(journal, SqliteJournal)
    assert begun(tmp_path, StoreSettings())
    journal.close()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_journal_is_in_postgresql_where_the_address_says_so(
    postgres: PostgresServer, tmp_path: Path, scheme: str
) -> None:
    address = postgres.address(postgres.schema()).replace("postgresql:", f"{scheme}:")
    journal = open_journal(tmp_path, StoreSettings(journal=address))
    assert isinstance(journal, PostgresJournal)
    assert begun(tmp_path, StoreSettings(journal=address))
    assert list(tmp_path.iterdir()) == []
    journal.close()


def test_journal_of_an_unknown_kind_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="postgresql") as caught:
        open_journal(tmp_path, StoreSettings(journal="mysql://ana:hunter2@db/x"))
    assert "hunter2" not in str(caught.value)


def test_journal_whose_driver_is_missing_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "instar.ledger.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"instar\[postgres\]"):
        open_journal(tmp_path, StoreSettings(journal="postgresql://db/x"))
