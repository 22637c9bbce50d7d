"""Asking the record, on a made-up model line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instar.core.codec import encode
from instar.core.digest import digest_json
from instar.core.records import Phase, VoteKind
from instar.ledger.journal import SqliteJournal
from instar.service import record
from instar.service.dates import BadDate
from tests.service import line

DAY = 86_400.0
YES = line.vote(VoteKind.APPROVE, "bob", reason="figures read")


class Calendar:
    """Date the entries as a list says, whatever the clock shows; the last date stays."""

    def __init__(self, *days: float) -> None:
        self.days = list(days)

    def __call__(self) -> float:
        day = self.days.pop(0) if len(self.days) > 1 else self.days[0]
        return day * DAY + 60.0


@pytest.fixture
def promoted(tmp_path: Path) -> Iterator[SqliteJournal]:
    """Lay out a line whose update u0001 was carried to its promotion."""
    approved = line.approval(votes=(YES,))
    done = line.moving(Phase.PROMOTED, 1.0)
    journal = line.lay_out(tmp_path, line.REQUEST, *line.MADE, YES, approved, done)
    made = line.replace(line.model(line.NEW, parent=line.OLD), update="u0001")
    line.crown(journal, made)
    yield journal
    journal.close()


def dated(folder: Path, *days: float) -> SqliteJournal:
    return SqliteJournal(folder / "dated.db", Calendar(*days))


def crowned(journal: SqliteJournal, *names: str) -> list[Any]:
    for number, name in enumerate(names):
        line.crown(journal, line.model(name), "promotion" if number else "adoption")
    return journal.entries()


@pytest.mark.parametrize(
    ("day", "champion"),
    [
        ("1970-01-01", None),
        ("1970-01-02", "a"),
        ("1970-01-03", "a"),
        ("1970-01-04", "c"),
        ("1970-02-01", "c"),
    ],
)
def test_champion_of_a_day_is_the_last_one_named_by_then(
    tmp_path: Path, day: str, champion: str | None
) -> None:
    journal = dated(tmp_path, 1, 3, 3)
    found = record.on(crowned(journal, "a", "b", "c"), day)
    assert found["champion"] == champion
    assert found["entry"] == {None: None, "a": 1, "c": 3}[champion]
    journal.close()


@pytest.mark.parametrize("wrong", [0.0, 99.0], ids=["clock at zero", "clock far ahead"])
def test_champion_of_a_day_does_not_believe_a_clock_that_contradicts_the_order(
    tmp_path: Path, wrong: float
) -> None:
    journal = dated(tmp_path, 1, 2, wrong, 3, 4)
    entries = crowned(journal, "a", "b", "c", "d", "e")
    assert record.on(entries, "1970-01-02")["champion"] == "a"
    assert record.on(entries, "1970-01-03")["champion"] == "c"  # with the entry before it
    assert record.on(entries, "1970-01-05")["champion"] == "e"
    journal.close()


def test_history_is_chosen_by_update_kind_and_date(tmp_path: Path) -> None:
    journal = dated(tmp_path, 1, 2, 3, 4)
    for number in range(4):
        journal.append("note", {}, update=f"u{number % 2}", model="demand", actor="ana")
    entries = journal.entries()

    def chosen(**by: str) -> list[int]:
        return [entry.seq for entry in record.select(entries, **by)]

    assert chosen() == [1, 2, 3, 4]
    assert chosen(update="u1") == [2, 4]
    assert chosen(since="1970-01-03", until="1970-01-04") == [2, 3]
    assert chosen(kind="note", until="1970-01-02T00:00:30") == []
    with pytest.raises(record.UnknownKind, match="note"):
        chosen(kind="vote")
    with pytest.raises(BadDate):
        chosen(since="soon")
    journal.close()


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("champion", line.NEW),
        ("champion~1", line.OLD),
        ("champion~2", line.ZERO),
        (line.OLD, line.OLD),
    ],
)
def test_versions_are_named_from_the_champion_backwards(
    promoted: SqliteJournal, word: str, name: str
) -> None:
    assert record.named(promoted, "demand", word).body["name"] == name


@pytest.mark.parametrize("word", ["champion~3", "model_v19990101_0000", "", "champion~"])
def test_version_that_there_is_not_is_refused(promoted: SqliteJournal, word: str) -> None:
    with pytest.raises(record.NothingNamed):
        record.named(promoted, "demand", word)


def test_why_a_version_is_live_goes_back_to_reason_people_and_data(promoted: SqliteJournal) -> None:
    found = record.show(promoted, "demand", "champion")["version"]
    said = "\n".join(step["text"] for step in found["why"])
    assert found["live"]
    for word in (
        f"{line.NEW} was promoted by worker",
        "u0001 was asked for by alice: weekly",
        "fresh, 300 rows",
        "planned as incremental: it pays",
        "1 of 1 findings that decide passed",
        "auroc 0.7000 -> 0.8000",
        "bob approves: figures read",
        "released: promoted",
    ):
        assert word in said
    assert found["policy"] == line.REQUEST.policy
    kinds = {entry.seq: entry.kind for entry in promoted.entries()}
    assert [kinds[step["entry"]] for step in found["why"]][:2] == ["promotion", "request"]


def test_version_that_was_taken_back_says_who_serves_and_why(promoted: SqliteJournal) -> None:
    line.crown(promoted, line.model(line.OLD, parent=line.ZERO), "rollback")
    promoted.append(
        "note",
        {"reason": "complaints", "from": line.NEW, "to": line.OLD},
        update="u0001",
        model="demand",
        actor="carol",
    )
    gone = record.show(promoted, "demand", line.NEW)["version"]
    back = record.show(promoted, "demand", "champion")["version"]
    assert (gone["live"], back["live"]) == (False, True)
    assert f"it is not live: {line.OLD} is" in gone["why"][0]["text"]
    assert back["why"][0]["text"].startswith(f"{line.OLD} was put back by worker")
    for found in (gone, back):
        assert found["why"][1]["text"] == "carol: complaints"
    assert record.named(promoted, "demand", "champion~1").body["name"] == line.NEW


def test_entry_is_shown_with_the_entries_that_went_into_it(promoted: SqliteJournal) -> None:
    request = promoted.entries(kind="request")[0]
    made = promoted.append(
        "plan",
        encode(line.PLAN),
        update="u0001",
        model="demand",
        actor="worker",
        work={"stage": "plan", "owner": "dora", "inputs": {"request": digest_json(request.body)}},
    )
    found = record.show(promoted, "demand", str(made.seq))["entry"]
    assert found["inputs"][0]["entry"] == request.seq
    assert (found["owner"], found["by"]) == ("dora", "worker")
    assert found["says"][0] == "incremental: it pays"
    assert found["findings"][0]["code"] == "probe"


def test_every_kind_of_entry_has_words(promoted: SqliteJournal) -> None:
    shown = record.show(promoted, "demand", "u0001")
    assert [entry["kind"] for entry in shown["entries"]] == [
        entry.kind for entry in promoted.entries(update="u0001")
    ]
    assert all(entry["says"] for entry in shown["entries"])
    assert shown["state"] == "promoted"


@pytest.mark.parametrize("word", ["0", "999", "u9999", "nothing", "-1", "１", "9" * 30, "9" * 5000])
def test_word_that_names_nothing_is_refused(promoted: SqliteJournal, word: str) -> None:
    with pytest.raises(record.NothingNamed):
        record.show(promoted, "demand", word)
