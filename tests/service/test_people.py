"""People stand in the ledger under pseudonyms, and nobody gains a second one in time to use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar.core.records import PSEUDONYM, Phase
from instar.ledger import queue
from instar.ledger.journal import SqliteJournal
from instar.service import Workspace
from instar.service.errors import OwnUpdate
from instar.service.people import StillInvolved, UnknownPerson, revealed
from tests.service import line

WAITING = (*line.MADE, replace(line.approval(votes=()), verdict=line.OPEN))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Workspace, "_work", lambda self, task, tell, **args: {"did": task, **args})
    return tmp_path


@pytest.fixture
def journal(folder: Path) -> Iterator[SqliteJournal]:
    """An update that Alice Liddell asked for, and that waits for people."""
    made = line.lay_out(folder)
    alice = made.person("Alice Liddell")
    line.file(made, replace(line.REQUEST, by=alice), actor=alice)
    line.file(made, *WAITING, actor=alice)
    yield made
    made.close()


def test_votes_stand_under_pseudonyms_and_are_shown_by_name(
    folder: Path, journal: SqliteJournal
) -> None:
    space = line.space(folder, "Bob Dodgson")
    space.approve("u0001", reason="read")
    (entry,) = journal.entries(kind="vote")
    assert entry.actor == entry.body["by"] == journal.person("bob dodgson")
    assert entry.actor.startswith(PSEUDONYM)
    shown = [made for made in space.history() if made.kind == "vote"]
    assert [(made.actor, made.body["by"]) for made in shown] == [("Bob Dodgson", "Bob Dodgson")]
    assert space.updates()[0]["by"] == "Alice Liddell"
    page = space.report("u0001")
    assert "Alice Liddell" in page
    assert PSEUDONYM not in page


def test_names_stand_nowhere_but_among_the_people(folder: Path, journal: SqliteJournal) -> None:
    line.space(folder, "Bob Dodgson").approve("u0001", reason="read")
    line.space(folder, "Carol Dodgson").abort("u0001", reason="wrong file")
    line.space(folder, "Alice Liddell").export(folder / "export")
    for path in (folder / "export").iterdir():
        text = path.read_text("utf-8").lower()
        for name in ("alice", "liddell", "bob", "carol", "dodgson"):
            assert name not in text, (path.name, name)
    for name in ("Alice Liddell", "Bob Dodgson", "Carol Dodgson"):
        line.space(folder).forget(name)
    data = (folder / ".instar" / "ledger.db").read_bytes().lower()
    for name in (b"liddell", b"dodgson"):
        assert name not in data
    assert line.space(folder).audit()["problems"] == []


@pytest.mark.parametrize("name", ["Alice Liddell", " alice  LIDDELL "])
def test_nobody_approves_their_own_update(folder: Path, journal: SqliteJournal, name: str) -> None:
    with pytest.raises(OwnUpdate):
        line.space(folder, name).approve("u0001")


def test_pseudonym_is_no_name_to_approve_with(folder: Path, journal: SqliteJournal) -> None:
    """Who types Alice's pseudonym is not Alice; that only costs them a name."""
    alice = journal.person("alice liddell")
    line.space(folder, alice).approve("u0001")
    (entry,) = journal.entries(kind="vote")
    assert entry.actor not in (alice, "alice liddell")


def test_requester_of_an_open_update_is_not_forgotten(folder: Path, journal: SqliteJournal) -> None:
    with pytest.raises(StillInvolved, match="u0001"):
        line.space(folder).forget("alice liddell")
    line.space(folder, "bob").abort("u0001", reason="enough")
    line.space(folder).forget("alice liddell")
    assert journal.people().keys() == {journal.person("bob")}


def test_whoever_waits_in_the_queue_is_not_forgotten(folder: Path, journal: SqliteJournal) -> None:
    body = {"by": journal.person("carol"), "reason": "monthly"}
    entry = journal.append(queue.KIND, body, update=None, model="demand", actor=body["by"])
    with pytest.raises(StillInvolved, match="the queue"):
        line.space(folder).forget("carol")
    key = queue.key(entry)
    journal.append("note", {}, update=None, model="demand", actor="a", key=key)
    line.space(folder).forget("carol")
    assert journal.person("carol") != body["by"]


def test_voter_on_an_open_update_is_not_forgotten_and_counts_once(
    folder: Path, journal: SqliteJournal
) -> None:
    line.space(folder, "bob").approve("u0001", reason="read")
    with pytest.raises(StillInvolved):
        line.space(folder).forget("bob")
    line.space(folder, "Bob").approve("u0001", reason="again")
    assert len({entry.actor for entry in journal.entries(kind="vote")}) == 1


def test_forgotten_person_is_shown_by_the_pseudonym(folder: Path, journal: SqliteJournal) -> None:
    alice = journal.person("alice liddell")
    line.space(folder, "bob").abort("u0001", reason="enough")
    line.space(folder).forget("Alice Liddell")
    assert line.space(folder).updates()[0]["by"] == alice


def test_stranger_is_not_forgotten(folder: Path, journal: SqliteJournal) -> None:
    with pytest.raises(UnknownPerson, match="'nobody'"):
        line.space(folder).forget("nobody")


def test_update_asked_for_under_a_plain_name_is_voted_on_under_plain_names(folder: Path) -> None:
    """An update that was open while Instar was upgraded: one person stays one person."""
    journal = line.lay_out(folder, line.REQUEST, *WAITING)
    with pytest.raises(OwnUpdate):
        line.space(folder, "Alice").approve("u0001")
    line.space(folder, "bob").approve("u0001")
    (entry,) = journal.entries(kind="vote")
    assert entry.actor == entry.body["by"] == "bob"
    journal.close()


def test_names_are_put_everywhere_in_a_record_and_are_escaped_in_a_page(
    folder: Path, journal: SqliteJournal
) -> None:
    line.space(folder, "<b>Bob</b>").reject("u0001", reason="no")
    space = line.space(folder)
    assert space.outcome("u0001").message == "rejected by <b>Bob</b>: no"
    assert "<b>Bob</b>" not in space.report("u0001")
    names = {PSEUDONYM + "a" * 32: "Ana"}
    text = f"none of {PSEUDONYM}{'a' * 32}, {PSEUDONYM}{'b' * 32}"
    record: Any = {"a": [(text, 1)], "b": line.moving(Phase.STEP, 0.1), "c": None}
    shown = revealed(record, names)
    assert shown["a"][0][0] == f"none of Ana, {PSEUDONYM}{'b' * 32}"
    assert shown["b"] == record["b"]
    assert json.dumps(shown["a"])
