"""What every journal must do, whichever database keeps it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from instar.core.digest import digest_json
from instar.ledger.journal import (
    GENESIS,
    Entry,
    Hold,
    Journal,
    Overruled,
    StaleChampion,
    TakenKey,
    UnwritableBody,
    UnwritableText,
    WrongKind,
)


def note(journal: Journal, text: str = "hello", **given: Any) -> Entry:
    """Append an entry of no consequence."""
    fields = {"update": None, "model": "demand", "actor": "ana"} | given
    return journal.append(fields.pop("kind", "note"), {"text": text}, **fields)


def crown(journal: Journal, expect: int | None, name: str = "v1", **given: Any) -> Entry:
    """Put a version in the champion's place."""
    fields: dict[str, Any] = {
        "kind": "adoption" if expect is None else "promotion",
        "actor": "ana",
        "epoch": None,
    }
    return journal.promote("demand", expect=expect, body={"name": name}, **fields | given)


class JournalContract:
    """Give the fixture `open_journal`, which opens the same empty store again and again."""

    @pytest.fixture
    def journal(self, open_journal: Callable[[], Journal]) -> Journal:
        return open_journal()

    def test_append_numbers_entries_from_one_without_gaps(self, journal: Journal) -> None:
        assert [note(journal).seq for _ in range(3)] == [1, 2, 3]

    def test_append_returns_what_a_reader_gets(self, journal: Journal) -> None:
        made = journal.append(
            "plan", {"b": (1, 2.5), "ä": None}, update="u1", model="m", actor="bo", key="k"
        )
        assert journal.entries() == [made]
        assert made.body == {"b": [1, 2.5], "ä": None}
        assert (made.kind, made.update, made.model) == ("plan", "u1", "m")
        assert (made.actor, made.key, made.epoch) == ("bo", "k", None)

    def test_append_keeps_what_made_the_record(self, journal: Journal) -> None:
        work = {"stage": "train", "owner": "ana", "in": {"data": "sha256:1"}, "out": []}
        made = note(journal, work=work)
        assert journal.entries() == [made]
        assert made.work == work
        assert note(journal).work is None

    def test_append_without_a_key_gets_one_of_its_own(self, journal: Journal) -> None:
        first, second = note(journal), note(journal)
        assert first.key
        assert journal.by_key(first.key) == first
        assert second.key not in (None, first.key)

    @pytest.mark.parametrize(
        "value",
        [0.1 + 0.2, 1e308, 5e-324, -0.0, 2**63, "\0", "ä\u2028\U0001f41b", "x" * 1_000_000],
        ids=lambda value: repr(value)[:12],
    )
    def test_append_keeps_values_exactly(self, journal: Journal, value: Any) -> None:
        journal.append("note", {"v": value}, update=None, model="m", actor="a")
        (found,) = journal.entries()
        assert repr(found.body["v"]) == repr(value)

    def test_append_keeps_the_longest_names(self, journal: Journal) -> None:
        names: dict[str, Any] = {
            "update": "ü" * 200,
            "model": "\U0001f41b" * 200,
            "actor": "'\";--" * 40,
        }
        made = journal.append("k" * 50, {}, key="%s" * 100, **names)
        assert journal.entries() == [made]
        assert journal.entries(update=names["update"], model=names["model"]) == [made]

    @pytest.mark.parametrize(
        ("field", "text"),
        [
            ("kind", "k" * 51),
            ("actor", "a" * 201),
            ("model", "m" * 201),
            ("update", "u" * 201),
            ("key", "k" * 201),
            ("actor", "a\0"),
            ("update", "\ud800"),
        ],
    )
    def test_append_of_a_name_that_not_every_database_holds_is_refused(
        self, journal: Journal, field: str, text: str
    ) -> None:
        with pytest.raises(UnwritableText, match=field):
            note(journal, **{field: text})
        assert journal.entries() == []

    def test_append_ties_each_entry_to_the_one_before(self, journal: Journal) -> None:
        first, second = note(journal), note(journal)
        assert (first.prev, second.prev) == (GENESIS, first.hash)
        assert first.hash == digest_json(
            {
                "seq": 1,
                "prev": GENESIS,
                "update": None,
                "model": "demand",
                "kind": "note",
                "key": first.key,
                "actor": "ana",
                "at": first.at,
                "epoch": None,
                "body": {"text": "hello"},
            }
        )

    def test_append_of_a_known_key_returns_the_entry_there(self, journal: Journal) -> None:
        first = note(journal, "first", key="k")
        assert note(journal, "second", key="k") == first
        assert journal.entries() == [first]

    @pytest.mark.parametrize("other", [{"kind": "plan"}, {"model": "x"}, {"update": "u2"}])
    def test_append_of_a_key_made_for_other_work_is_refused(
        self, journal: Journal, other: dict[str, str]
    ) -> None:
        first = note(journal, key="k", update="u1")
        with pytest.raises(TakenKey):
            note(journal, **{"key": "k", "update": "u1"} | other)
        assert journal.entries() == [first]

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, "\ud800", b"x"])
    def test_append_of_what_json_cannot_say_is_refused(self, journal: Journal, value: Any) -> None:
        with pytest.raises(UnwritableBody):
            journal.append("note", {"v": value}, update=None, model="m", actor="a")
        assert journal.entries() == []

    def test_entries_selects_by_update_model_kind_and_place(self, journal: Journal) -> None:
        note(journal, update="u1")
        note(journal, update="u1", kind="plan")
        note(journal, update="u2", model="other")
        note(journal, update="u2")

        def seqs(**asked: Any) -> list[int]:
            return [entry.seq for entry in journal.entries(**asked)]

        assert seqs() == [1, 2, 3, 4]
        assert seqs(update="u1") == [1, 2]
        assert seqs(model="other") == [3]
        assert seqs(update="u1", kind="plan") == [2]
        assert seqs(after=1, limit=2) == [2, 3]
        assert seqs(update="u3") == seqs(after=4) == seqs(limit=0) == []

    def test_last_is_the_newest_of_its_kind(self, journal: Journal) -> None:
        note(journal, update="u1")
        newest = note(journal, update="u1")
        note(journal, update="u2", kind="plan")
        assert journal.last("note") == newest
        assert journal.last("note", update="u1", model="demand") == newest
        assert journal.last("note", update="u2") is None

    def test_by_key_finds_the_entry_or_nothing(self, journal: Journal) -> None:
        made = note(journal, key="k")
        assert journal.by_key("k") == made
        assert journal.by_key("other") is None

    def test_second_handle_sees_the_entries(self, open_journal: Callable[[], Journal]) -> None:
        made = note(open_journal())
        assert open_journal().entries() == [made]

    def test_second_handle_goes_on_where_the_first_was_closed(
        self, open_journal: Callable[[], Journal]
    ) -> None:
        journal = open_journal()
        first = crown(journal, None)
        epoch = journal.acquire("demand", "w1", 10, 0.0)
        journal.close()
        again = open_journal()
        assert again.champion("demand") == first
        assert again.undelivered() == [first]
        assert note(again, epoch=epoch).prev == first.hash

    def test_champion_is_nobody_before_the_adoption(self, journal: Journal) -> None:
        assert journal.champion("demand") is None

    def test_promote_names_the_champion(self, journal: Journal) -> None:
        first = crown(journal, None)
        assert journal.champion("demand") == first
        second = crown(journal, first.seq, "v2", update="u1")
        assert journal.champion("demand") == second
        back = crown(journal, second.seq, "v1", kind="rollback")
        assert journal.champion("demand") == back
        assert [e.kind for e in journal.entries()] == ["adoption", "promotion", "rollback"]

    @pytest.mark.parametrize("expect", [None, 2, 99])
    def test_promote_against_another_champion_changes_nothing(
        self, journal: Journal, expect: int | None
    ) -> None:
        first = crown(journal, None)
        with pytest.raises(StaleChampion):
            crown(journal, expect, "v2")
        assert journal.champion("demand") == first
        assert journal.entries() == journal.undelivered() == [first]

    def test_promote_without_a_champion_changes_nothing(self, journal: Journal) -> None:
        with pytest.raises(StaleChampion):
            crown(journal, 1)
        assert journal.entries() == []

    def test_promote_of_a_known_key_moves_nothing(self, journal: Journal) -> None:
        first = crown(journal, None)
        second = crown(journal, first.seq, "v2", key="k")
        third = crown(journal, second.seq, "v3")
        assert crown(journal, first.seq, "v2", key="k") == second
        assert journal.champion("demand") == third

    def test_promote_without_a_key_gets_one_of_its_own(self, journal: Journal) -> None:
        first = crown(journal, None)
        assert first.key
        assert journal.by_key(first.key) == first

    def test_promote_under_a_key_made_for_other_work_changes_nothing(
        self, journal: Journal
    ) -> None:
        first = crown(journal, None)
        other = note(journal, key="k")
        with pytest.raises(TakenKey):
            crown(journal, first.seq, key="k")
        assert journal.champion("demand") == first
        assert journal.entries() == [first, other]

    def test_champions_of_two_models_do_not_meet(self, journal: Journal) -> None:
        mine = crown(journal, None)
        other = journal.promote(
            "price", expect=None, body={}, actor="a", epoch=None, kind="adoption"
        )
        assert (journal.champion("demand"), journal.champion("price")) == (mine, other)

    def test_champion_is_named_by_promote_alone(self, journal: Journal) -> None:
        for kind in ("adoption", "promotion", "rollback"):
            with pytest.raises(WrongKind):
                note(journal, kind=kind)
        with pytest.raises(WrongKind):
            crown(journal, None, kind="note")

    def test_outbox_holds_promotions_until_delivered(self, journal: Journal) -> None:
        first = crown(journal, None)
        second = crown(journal, first.seq)
        note(journal)
        assert journal.undelivered() == [first, second]
        journal.delivered(first.seq)
        journal.delivered(first.seq)
        assert journal.undelivered() == [second]

    def test_outbox_is_emptied_in_any_order(self, journal: Journal) -> None:
        first = crown(journal, None)
        second = crown(journal, first.seq)
        journal.delivered(second.seq)
        journal.delivered(99)
        assert journal.undelivered() == [first]

    def test_champion_before_a_promotion_is_held_by_the_machines_own_clock(
        self, journal: Journal
    ) -> None:
        first = crown(journal, None, hold=Hold(60.0, "boot 1", 100.0))
        second = crown(journal, first.seq, "v2", hold=Hold(60.0, "boot 1", 100.0))
        assert journal.held(("boot 1", 159.9)) == journal.held(("boot 1", 100.0), "demand")
        assert journal.held(("boot 1", 159.9)) == [first]
        assert journal.held(("boot 1", 160.0)) == journal.held(("boot 1", 101.0), "price") == []
        crown(journal, second.seq, "v3", hold=Hold(60.0, "boot 1", 130.0))
        assert journal.held(("boot 1", 140.0)) == [first, second]

    def test_hold_begins_again_in_full_when_the_machine_starts_again(
        self, journal: Journal
    ) -> None:
        first = crown(journal, None)
        crown(journal, first.seq, "v2", hold=Hold(60.0, "boot 1", 1_000.0))
        assert journal.held(("boot 1", 1_060.0)) == []
        assert journal.held(("boot 2", 5.0)) == [first]  # over by then? nobody can know
        assert journal.held(("boot 2", 64.9)) == [first]
        assert journal.held(("boot 2", 65.0)) == []

    def test_hold_is_placed_with_its_promotion_or_not_at_all(self, journal: Journal) -> None:
        first = crown(journal, None)
        with pytest.raises(StaleChampion):
            crown(journal, first.seq + 7, "v2", hold=Hold(60.0, "boot", 0.0))
        assert journal.held(("boot", 1.0)) == []
        second = crown(journal, first.seq, "v2", key="k", hold=Hold(60.0, "boot", 0.0))
        crown(journal, second.seq, "v2", key="k", hold=Hold(60.0, "boot", 50.0))
        assert journal.held(("boot", 61.0)) == []  # the second call did nothing

    def test_entry_that_another_forbids_is_refused(self, journal: Journal) -> None:
        first = crown(journal, None)
        crown(journal, first.seq, "v2", update="u1")
        with pytest.raises(Overruled, match="promotion, entry 2"):
            note(journal, kind="withdrawn", update="u1", unless="promotion", takes_over=True)
        assert journal.epoch("demand") == 0
        assert note(journal, kind="withdrawn", update="u2", unless="promotion").seq == 3

    def test_appends_at_once_keep_one_chain(self, open_journal: Callable[[], Journal]) -> None:
        at_once(open_journal, 4, lambda journal: [note(journal) for _ in range(5)])
        journal = open_journal()
        assert [entry.seq for entry in journal.entries()] == list(range(1, 21))
        assert journal.verify() == []

    def test_promotions_of_one_update_at_once_promote_once(
        self, open_journal: Callable[[], Journal]
    ) -> None:
        first = crown(open_journal(), None)
        done = at_once(open_journal, 6, lambda journal: crown(journal, first.seq, key="u1"))
        assert {entry.seq for entry in done} == {2}
        assert len(open_journal().entries()) == 2

    def test_export_writes_every_entry_with_its_seal(
        self, journal: Journal, tmp_path: Path
    ) -> None:
        made = [note(journal, "ä\n"), crown(journal, None)]
        path = tmp_path / "ledger.jsonl"
        assert journal.export(path) == 2
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for entry, line in zip(made, lines, strict=True):
            assert line.pop("hash") == entry.hash == digest_json(line)

    def test_export_takes_the_place_of_an_older_one_and_leaves_nothing_else(
        self, journal: Journal, tmp_path: Path
    ) -> None:
        folder = tmp_path / "export"
        folder.mkdir()
        for count in range(3):
            assert journal.export(folder / "ledger.jsonl") == count
            assert (folder / "ledger.jsonl").read_bytes().count(b"\n") == count
            note(journal)
        assert [path.name for path in folder.iterdir()] == ["ledger.jsonl"]

    def test_verify_finds_nothing_in_a_sound_journal(self, journal: Journal) -> None:
        assert journal.verify() == []
        first = crown(journal, None)
        note(journal)
        crown(journal, first.seq)
        assert journal.verify() == []


def at_once(
    open_journal: Callable[[], Journal], count: int, act: Callable[[Journal], Any]
) -> list[Any]:
    """Let several threads, each with a handle of its own, act at the same moment."""
    journals = [open_journal() for _ in range(count)]
    barrier = threading.Barrier(count)

    def run(journal: Journal) -> Any:
        barrier.wait()
        return act(journal)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, journals))
