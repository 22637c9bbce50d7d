"""What every journal must notice when somebody writes behind its back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from instar.ledger.journal import AlteredEntry, Journal
from instar.testing.contracts.journal import crown, note


class TamperContract:
    """Give the fixtures `journal`, empty, and `sql`, which runs a statement behind its back."""

    @pytest.fixture
    def filled(self, journal: Journal) -> Journal:
        first = crown(journal, None)
        for text in ("one", "two", "three"):
            note(journal, text, update="u1", key=text)
        crown(journal, first.seq)
        return journal

    @pytest.mark.parametrize(
        "change",
        [
            'body = \'{"text":"2"}\'',
            "body = 'no json'",
            "actor = 'eve'",
            "at = at + 1",
            "kind = 'vote'",
            "model = 'other'",
            "update_id = 'u2'",
            "update_id = NULL",
            "\"key\" = 'other'",
            "epoch = 7",
            "work = '{}'",
            "work = 'no json'",
        ],
    )
    def test_verify_names_the_altered_entry(
        self, filled: Journal, sql: Callable[[str], None], change: str
    ) -> None:
        sql(f"UPDATE entries SET {change} WHERE seq = 3")  # noqa: S608 - a forger at work
        assert [(p.seq, p.code) for p in filled.verify()] == [(3, "altered")]
        with pytest.raises(AlteredEntry):
            filled.entries()

    def test_verify_names_the_place_of_a_cut(
        self, filled: Journal, sql: Callable[[str], None]
    ) -> None:
        sql("DELETE FROM entries WHERE seq = 3")
        assert [(p.seq, p.code) for p in filled.verify()] == [(4, "cut")]

    def test_verify_names_an_entry_sealed_anew(
        self, filled: Journal, sql: Callable[[str], None]
    ) -> None:
        made = filled.entries()[2]
        forged = dataclasses.replace(made, actor="eve")
        seal = f"hash = '{forged.seal()}'"
        sql(f"UPDATE entries SET actor = 'eve', {seal} WHERE seq = 3")  # noqa: S608 - as above
        assert [(p.seq, p.code) for p in filled.verify()] == [(4, "unlinked")]

    def test_verify_names_an_entry_of_another_place(
        self, filled: Journal, sql: Callable[[str], None]
    ) -> None:
        sql("UPDATE entries SET seq = 6 WHERE seq = 4")
        told = {(p.seq, p.code) for p in filled.verify()}
        assert {(5, "cut"), (6, "altered")} <= told

    def test_verify_names_an_entry_put_behind_the_last(
        self, filled: Journal, sql: Callable[[str], None]
    ) -> None:
        made = dataclasses.replace(filled.entries()[3], seq=6, key="forged")
        values = (
            f"6, '{made.model}', '{made.kind}', 'forged', '{{\"text\":\"three\"}}',"
            f" '{made.actor}', {made.at!r}, 'sha256:{'0' * 63}1', '{made.seal()}'"
        )
        names = 'seq, model, kind, "key", body, actor, at, prev, hash'
        sql(f"INSERT INTO entries ({names}) VALUES ({values})")  # noqa: S608 - as above
        assert {(6, "unlinked"), (6, "altered")} & {(p.seq, p.code) for p in filled.verify()}

    def test_verify_names_a_champion_without_a_pointer(
        self, filled: Journal, sql: Callable[[str], None]
    ) -> None:
        sql("DELETE FROM pointers")
        assert [(p.seq, p.code) for p in filled.verify()] == [(5, "pointer")]

    def test_verify_names_a_champion_that_no_entry_names(
        self, filled: Journal, sql: Callable[[str], None]
    ) -> None:
        sql("UPDATE pointers SET version_seq = 1")
        assert [(p.seq, p.code) for p in filled.verify()] == [(5, "pointer")]

    def test_altered_champion_is_never_returned(
        self, filled: Journal, sql: Callable[[str], None]
    ) -> None:
        sql('UPDATE entries SET body = \'{"name":"evil"}\' WHERE seq = 5')
        with pytest.raises(AlteredEntry):
            filled.champion("demand")
        with pytest.raises(AlteredEntry):
            filled.undelivered()

    def test_altered_entry_is_never_adopted(
        self, filled: Journal, sql: Callable[[str], None]
    ) -> None:
        sql("UPDATE entries SET actor = 'eve' WHERE seq = 3")
        with pytest.raises(AlteredEntry):
            filled.by_key("two")
        with pytest.raises(AlteredEntry):
            note(filled, "two", update="u1", key="two")
