from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from instar.core.records import PSEUDONYM
from instar.ledger.journal import Forgotten, SqliteJournal, UnwritableText
from instar.testing.contracts.journal import note


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    made = SqliteJournal(path)
    yield made
    made.close()


def anyone(_: str) -> None:
    pass


def test_person_is_the_same_however_the_name_was_typed(journal: SqliteJournal) -> None:
    ana = journal.person("Ana  Ünal")
    assert {journal.person(name) for name in (" ana ünal", "ANA ÜNAL", "Ana U\u0308nal")} == {ana}
    assert journal.person("Anna") != ana
    assert journal.people()[ana] == "Ana Ünal"


def test_pseudonym_says_nothing_and_is_another_in_another_ledger(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    made = journal.person("ana")
    assert made.startswith(PSEUDONYM)
    assert len(made) == len(PSEUDONYM) + 32
    other = SqliteJournal(tmp_path / "other.db")
    assert other.person("ana") != made
    other.close()


def test_pseudonym_typed_as_a_name_is_somebody_else(journal: SqliteJournal) -> None:
    ana = journal.person("ana")
    assert journal.person(ana) != ana


def test_nobody_stays_nobody(journal: SqliteJournal) -> None:
    assert journal.person(" ") == " "
    assert journal.people() == {}


@pytest.mark.parametrize("name", ["x" * 201, "a\0b", "\ud800"])
def test_name_that_cannot_be_kept_is_refused(journal: SqliteJournal, name: str) -> None:
    with pytest.raises(UnwritableText):
        journal.person(name)
    assert journal.people() == {}


def test_forgotten_person_is_gone_from_the_file_and_the_chain_is_whole(
    journal: SqliteJournal, path: Path
) -> None:
    ana = journal.person("Anastasia")
    note(journal, actor=ana)
    assert b"anastasia" in path.read_bytes().lower()
    assert journal.forget("anastasia", anyone)
    assert b"anastasia" not in path.read_bytes().lower()
    assert journal.verify() == []
    assert journal.entries()[0].actor == ana
    assert journal.people() == {}


def test_person_who_comes_back_is_somebody_new(journal: SqliteJournal) -> None:
    before = journal.person("ana")
    journal.forget("ana", anyone)
    assert journal.person("ana") != before


def test_forgotten_person_does_not_act_any_more(journal: SqliteJournal) -> None:
    ana = journal.person("ana")
    journal.forget("ana", anyone)
    with pytest.raises(Forgotten):
        note(journal, actor=ana)
    assert journal.entries() == []


def test_forgetting_a_stranger_does_nothing(journal: SqliteJournal) -> None:
    assert not journal.forget("nobody", anyone)


def test_forgetting_that_is_refused_changes_nothing(journal: SqliteJournal) -> None:
    ana = journal.person("ana")

    def refuse(pseudonym: str) -> None:
        raise Forgotten

    with pytest.raises(Forgotten):
        journal.forget("ana", refuse)
    assert journal.person("ana") == ana
