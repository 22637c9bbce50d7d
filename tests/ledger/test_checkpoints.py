"""When the ledger's length is signed, and what is refused that does not agree with it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from instar.core import merkle
from instar.core.policy import StoreSettings
from instar.ledger import files, notes
from instar.ledger.checkpoints import AFTER_S, EVERY, FILE, Checkpoints
from instar.ledger.journal import AlteredEntry, OlderLedger, SqliteJournal
from instar.ledger.keys import public_key
from instar.ledger.notes import BadNote
from instar.ledger.stores import begun, open_journal
from instar.testing.contracts.journal import crown, note
from tests.servers.postgres import PostgresServer

STORE = StoreSettings()


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / ".instar"


@contextmanager
def opened(home: Path, clock: Clock | None = None) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(home / "ledger.db", clock or Clock(), Checkpoints(home))
    try:
        yield journal
    finally:
        journal.close()


def sizes(home: Path) -> list[int]:
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        return [
            size for (size,) in connection.execute("SELECT size FROM checkpoints ORDER BY size")
        ]


def sql(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / "ledger.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def beside(home: Path) -> notes.Note:
    return notes.read((home / FILE).read_text("utf-8"))


# When it is due.


def test_checkpoint_is_signed_at_the_first_entry_and_then_every_so_many(
    home: Path, clock: Clock
) -> None:
    with opened(home, clock) as journal:
        for _ in range(2 * EVERY + 1):
            note(journal)
    assert sizes(home) == [1, 1 + EVERY, 1 + 2 * EVERY]
    assert beside(home).size == 1 + 2 * EVERY


@pytest.mark.parametrize("after", [AFTER_S, -AFTER_S])
def test_checkpoint_is_signed_when_the_last_one_is_old_or_the_clock_went_back(
    home: Path, clock: Clock, after: float
) -> None:
    with opened(home, clock) as journal:
        note(journal)
        clock.now += 0.9 * after
        note(journal)
        clock.now += 0.1 * after
        note(journal)
    assert sizes(home) == [1, 3]


def test_checkpoint_is_signed_at_every_entry_that_names_a_champion(
    home: Path, clock: Clock
) -> None:
    with opened(home, clock) as journal:
        note(journal)
        first = crown(journal, None)
        note(journal)
        crown(journal, first.seq)
    assert sizes(home) == [1, 2, 4]


def test_checkpoint_is_signed_when_asked_for_and_once(home: Path, clock: Clock) -> None:
    with opened(home, clock) as journal:
        journal.checkpoint()
        assert not (home / FILE).exists()
        for _ in range(3):
            note(journal)
        journal.checkpoint()
        journal.checkpoint()
        assert journal.verify() == []
    assert sizes(home) == [1, 3]


def test_checkpoint_signs_the_merkle_root_of_the_hashes(home: Path, clock: Clock) -> None:
    with opened(home, clock) as journal:
        hashes = [bytes.fromhex(note(journal).hash[7:]) for _ in range(EVERY + 1)]
    frontier = merkle.Frontier()
    for data in hashes:
        frontier.add(data)
    key = public_key(home)
    assert key is not None
    assert notes.verify(beside(home), key).root == frontier.root()


def test_checkpoint_is_in_the_transaction_of_its_entry(home: Path, clock: Clock) -> None:
    with opened(home, clock) as journal:
        first = crown(journal, None)
        with pytest.raises(Exception, match="champion"):
            crown(journal, 99)
        assert sizes(home) == [first.seq]
        assert beside(home).size == first.seq


def test_append_is_done_though_the_checkpoint_cannot_be_put_beside_it(
    home: Path, clock: Clock
) -> None:
    class Full(files.Disk):
        def rename(self, old: str, new: str, at: int) -> None:
            raise OSError(28, "No space left on device")

    with opened(home, clock) as journal:
        note(journal)
        with files.using(Full()):
            made = crown(journal, None)
            with pytest.raises(files.StoreFailed):
                journal.checkpoint()
        assert beside(home).size == 1
        assert journal.champion("demand") == made
        journal.checkpoint()
    assert beside(home).size == 2


def test_altered_entry_is_not_signed(home: Path, clock: Clock) -> None:
    with opened(home, clock) as journal:
        for _ in range(4):
            note(journal)
        sql(home, "UPDATE entries SET actor = 'eve' WHERE seq = 3")
        with pytest.raises(AlteredEntry, match="entry 3"):
            journal.checkpoint()
        with pytest.raises(AlteredEntry):
            crown(journal, None)
    assert sizes(home) == [1]


def test_missing_entry_is_not_signed(home: Path, clock: Clock) -> None:
    with opened(home, clock) as journal:
        for _ in range(4):
            note(journal)
        sql(home, "DELETE FROM entries WHERE seq = 3")
        with pytest.raises(AlteredEntry, match="entry 3"):
            journal.checkpoint()


@pytest.mark.parametrize(
    "change",
    [
        "frontier = '[]'",
        "frontier = 'none'",
        f"""frontier = '["{"00" * 32}"]'""",
        "note = replace(note, 'instar/', 'other/')",
        "note = ''",
    ],
)
def test_checkpoint_does_not_go_on_from_a_forged_one(home: Path, clock: Clock, change: str) -> None:
    with opened(home, clock) as journal:
        note(journal)
        note(journal)
        sql(home, f"UPDATE checkpoints SET {change}")
        with pytest.raises(BadNote):
            journal.checkpoint()
        assert [problem.code for problem in journal.verify()] == ["signature"]


def test_old_ledger_without_checkpoints_gets_its_first(home: Path) -> None:
    journal = SqliteJournal(home / "ledger.db")
    for _ in range(EVERY + 3):
        note(journal)
    journal.checkpoint()
    journal.close()
    assert sizes(home) == []
    with opened(home) as again:
        note(again)
        assert again.verify() == []
    assert sizes(home) == [EVERY + 4]


# What is refused.


@pytest.fixture
def filled(home: Path, clock: Clock) -> Path:
    """A workspace with a copy of its database as it was earlier, `ledger.old`."""
    with opened(home, clock) as journal:
        crown(journal, None)
        note(journal)
    shutil.copy(home / "ledger.db", home / "ledger.old")
    with opened(home, clock) as journal:
        note(journal)
        journal.checkpoint()
    return home


def test_sound_ledger_opens(filled: Path) -> None:
    journal = open_journal(filled, STORE)
    assert journal.count() == 3
    assert journal.verify() == []
    journal.close()


def test_older_copy_of_the_database_is_refused(filled: Path) -> None:
    shutil.copy(filled / "ledger.old", filled / "ledger.db")
    with pytest.raises(OlderLedger, match=r"checkpoint 3; got one that ends at entry 2; .*newest"):
        open_journal(filled, STORE)


def test_older_copy_that_went_on_is_refused(filled: Path) -> None:
    shutil.copy(filled / "ledger.old", filled / "ledger.db")
    journal = SqliteJournal(filled / "ledger.db")
    for _ in range(5):
        note(journal, "another history")
    journal.close()
    with pytest.raises(OlderLedger, match="other entries"):
        open_journal(filled, STORE)


def test_database_that_is_gone_is_refused_and_none_is_laid_in_its_place(filled: Path) -> None:
    (filled / "ledger.db").unlink()
    assert begun(filled, STORE)
    with pytest.raises(OlderLedger, match="no database at all"):
        open_journal(filled, STORE)
    assert not (filled / "ledger.db").exists()


def test_database_of_another_workspace_is_refused(filled: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with opened(other) as journal:
        for _ in range(9):
            note(journal)
    shutil.copy(other / "ledger.db", filled / "ledger.db")
    with pytest.raises(OlderLedger, match="other entries"):
        open_journal(filled, STORE)


def test_entries_after_the_checkpoint_may_come_and_go(filled: Path) -> None:
    """A crash between the commit and the file leaves an older checkpoint beside it: no harm."""
    with opened(filled) as journal:
        note(journal)
    journal = open_journal(filled, STORE)
    assert journal.count() == 4
    journal.close()


def test_forged_checkpoint_beside_a_sound_database_is_told_apart(filled: Path) -> None:
    text = (filled / FILE).read_text("utf-8")
    (filled / FILE).chmod(0o644)
    (filled / FILE).write_text(text.replace("\n3\n", "\n4\n"), "utf-8")
    with pytest.raises(BadNote, match="does not fit"):
        open_journal(filled, STORE)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"three\nlines\nhere\n", b"\0" * 200])
def test_checkpoint_that_is_none_is_refused(filled: Path, content: bytes) -> None:
    (filled / FILE).chmod(0o644)
    (filled / FILE).write_bytes(content)
    with pytest.raises(BadNote):
        open_journal(filled, STORE)


def test_public_half_alone_is_enough_to_verify(filled: Path) -> None:
    (filled / "keys" / "ledger.pem").unlink()
    with opened(filled) as journal:
        assert journal.verify() == []


def test_postgres_ledger_is_signed_and_held_against_its_checkpoint(
    postgres: PostgresServer, home: Path
) -> None:
    schema = postgres.schema()
    store = StoreSettings(journal=postgres.address(schema))
    journal = open_journal(home, store)
    crown(journal, None)
    for _ in range(EVERY + 2):
        note(journal, actor=journal.person("ana"))
    journal.checkpoint()
    assert journal.verify() == []
    assert journal.prove(EVERY)["place"] == EVERY - 1
    assert journal.forget("ana", lambda _: None)
    last = journal.count()
    journal.close()
    assert beside(home).size == last
    postgres.sql(f"UPDATE {schema}.entries SET actor = 'eve' WHERE seq = 9")
    again = open_journal(home, store)
    assert [(problem.seq, problem.code) for problem in again.verify()] == [(9, "altered")]
    again.close()
    postgres.sql(f"DELETE FROM {schema}.entries WHERE seq = {last}")
    with pytest.raises(OlderLedger, match=f"ends at entry {last - 1}"):
        open_journal(home, store)


def test_fresh_workspace_has_not_begun(home: Path) -> None:
    assert not begun(home, STORE)
