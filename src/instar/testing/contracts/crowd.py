"""What every journal must do where several act on it at the same moment."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from instar.ledger.journal import Journal, LostLease, StaleChampion
from instar.testing.contracts.journal import at_once, crown, note


class CrowdContract:
    """Give the fixture `open_journal`, which opens the same empty store again and again."""

    def test_promotions_of_several_updates_at_once_promote_one(
        self, open_journal: Callable[[], Journal]
    ) -> None:
        first = crown(open_journal(), None)
        updates = itertools.count()

        def promote(journal: Journal) -> int:
            try:
                return crown(journal, first.seq, key=f"u{next(updates)}").seq
            except StaleChampion:
                return 0

        assert sorted(at_once(open_journal, 6, promote)) == [0, 0, 0, 0, 0, 2]
        journal = open_journal()
        assert len(journal.entries()) == 2
        assert [entry.seq for entry in journal.undelivered()] == [1, 2]

    def test_appends_of_one_key_at_once_make_one_entry(
        self, open_journal: Callable[[], Journal]
    ) -> None:
        made = at_once(open_journal, 6, lambda journal: note(journal, key="k"))
        assert {entry.hash for entry in made} == {open_journal().entries()[0].hash}
        assert len(open_journal().entries()) == 1

    def test_reader_beside_writers_sees_a_whole_chain(
        self, open_journal: Callable[[], Journal]
    ) -> None:
        turns = itertools.count()

        def act(journal: Journal) -> None:
            reads = next(turns) == 0
            for _ in range(10):
                if reads:
                    assert journal.verify() == []
                    seqs = [entry.seq for entry in journal.entries()]
                    assert seqs == list(range(1, len(seqs) + 1))
                else:
                    champion = journal.champion("demand")
                    try:
                        crown(journal, champion.seq if champion else None)
                    except StaleChampion:
                        note(journal)

        at_once(open_journal, 3, act)
        assert len(open_journal().entries()) == 20

    def test_export_beside_writers_is_of_one_moment(
        self, open_journal: Callable[[], Journal], tmp_path: Path
    ) -> None:
        turns = itertools.count()

        def act(journal: Journal) -> None:
            if next(turns):
                for _ in range(10):
                    note(journal)
                return
            for turn in range(5):
                path = tmp_path / f"{turn}.jsonl"
                count = journal.export(path)
                lines = [json.loads(line) for line in path.read_bytes().splitlines()]
                assert [line["seq"] for line in lines] == list(range(1, count + 1))

        at_once(open_journal, 3, act)

    def test_acquires_of_a_lease_that_ran_out_at_once_get_different_epochs(
        self, open_journal: Callable[[], Journal]
    ) -> None:
        holders = itertools.count()
        epochs = at_once(
            open_journal, 6, lambda journal: journal.acquire("m", f"w{next(holders)}", 0, 0.0)
        )
        assert sorted(epochs) == [1, 2, 3, 4, 5, 6]

    def test_writers_at_once_pass_only_at_the_epoch_in_force(
        self, open_journal: Callable[[], Journal]
    ) -> None:
        journal = open_journal()
        old = journal.acquire("demand", "w1", 0, 0.0)
        new = journal.acquire("demand", "w2", 10, 0.0)
        turns = itertools.count()

        def write(journal: Journal) -> int | None:
            epoch = new if next(turns) % 2 else old
            try:
                return note(journal, epoch=epoch).epoch
            except LostLease:
                return None

        done = at_once(open_journal, 6, write)
        assert done.count(new) == done.count(None) == 3

    @pytest.mark.parametrize("count", [2, 8])
    def test_pieces_of_work_at_once_are_each_recorded_once(
        self, open_journal: Callable[[], Journal], count: int
    ) -> None:
        def work(journal: Journal) -> None:
            for key in ("a", "b", "c"):
                note(journal, key=key)

        at_once(open_journal, count, work)
        assert sorted(str(entry.key) for entry in open_journal().entries()) == ["a", "b", "c"]
