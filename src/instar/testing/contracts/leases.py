"""What the leases of every journal must do: one writer a model, and the others fenced off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from instar.ledger.journal import Attempt, Busy, Journal, LostLease
from instar.testing.contracts.journal import at_once, crown, note

T0 = 1_000.0


class LeasesContract:
    """Give the fixtures `open_journal`, which opens an empty store, and `journal`, its first."""

    def test_acquire_grants_epochs_that_only_grow(self, journal: Journal) -> None:
        epochs = []
        for turn in range(3):
            epochs.append(journal.acquire("demand", f"w{turn}", 10, T0))
            journal.release("demand", f"w{turn}", epochs[-1])
        assert epochs == [1, 2, 3]

    def test_acquire_of_a_held_lease_names_the_holder(self, journal: Journal) -> None:
        journal.acquire("demand", "w1", 10, T0)
        with pytest.raises(Busy, match="w1"):
            journal.acquire("demand", "w2", 10, T0 + 9.9)
        assert journal.acquire("price", "w2", 10, T0) == 1

    def test_acquire_takes_a_lease_that_ran_out(self, journal: Journal) -> None:
        journal.acquire("demand", "w1", 10, T0)
        assert journal.acquire("demand", "w2", 10, T0 + 10) == 2

    def test_acquire_by_the_same_holder_fences_off_its_former_self(self, journal: Journal) -> None:
        old = journal.acquire("demand", "w1", 10, T0)
        new = journal.acquire("demand", "w1", 10, T0 + 1)
        with pytest.raises(LostLease):
            note(journal, epoch=old)
        assert note(journal, epoch=new).epoch == new

    @pytest.mark.parametrize("epoch", [0, 1, 3])
    def test_write_at_another_epoch_changes_nothing(self, journal: Journal, epoch: int) -> None:
        first = crown(journal, None)
        journal.acquire("demand", "w1", 10, T0)
        journal.acquire("demand", "w2", 10, T0 + 10)
        with pytest.raises(LostLease):
            note(journal, epoch=epoch)
        with pytest.raises(LostLease):
            crown(journal, first.seq, epoch=epoch)
        with pytest.raises(LostLease):
            crown(journal, None, key="k", epoch=epoch)
        assert journal.entries() == [first]

    def test_write_of_a_person_needs_no_lease(self, journal: Journal) -> None:
        journal.acquire("demand", "w1", 10, T0)
        assert note(journal).epoch is None

    def test_word_that_takes_over_fences_off_who_works(self, journal: Journal) -> None:
        first = crown(journal, None)
        old = journal.acquire("demand", "w1", 10, T0)
        said = note(journal, kind="withdrawn", update="u1", takes_over=True)
        assert said.epoch == journal.epoch("demand") == old + 1
        for write in (
            lambda: note(journal, epoch=old),
            lambda: crown(journal, first.seq, epoch=old),
            lambda: journal.renew("demand", "w1", old, 10, T0),
            lambda: journal.attempt("k", model="demand", epoch=old),
            lambda: journal.attempted("k", "", model="demand", epoch=old),
        ):
            with pytest.raises(LostLease, match=f"a lost lease, epoch {old + 1}"):
                write()
        assert journal.acquire("demand", "w2", 10, T0) == old + 2  # nobody has to wait

    def test_champion_that_takes_over_fences_off_who_works(self, journal: Journal) -> None:
        first = crown(journal, None)
        old = journal.acquire("demand", "w1", 10, T0)
        back = crown(journal, first.seq, kind="rollback", takes_over=True)
        assert back.epoch == old + 1
        with pytest.raises(LostLease):
            crown(journal, back.seq, epoch=old)
        assert journal.champion("demand") == back

    def test_lease_of_a_holder_known_to_be_dead_is_taken_at_once(self, journal: Journal) -> None:
        old = journal.acquire("demand", "w1", 10, T0)
        with pytest.raises(Busy):
            journal.acquire("demand", "w2", 10, T0, instead_of="w3")
        assert journal.acquire("demand", "w2", 10, T0, instead_of="w1") == old + 1
        with pytest.raises(LostLease):
            note(journal, epoch=old)

    def test_attempts_are_counted_and_tell_how_the_one_before_ended(
        self, open_journal: Callable[[], Journal], journal: Journal
    ) -> None:
        epoch = journal.acquire("demand", "w1", 10, T0)
        about: dict[str, Any] = {"model": "demand", "epoch": epoch}
        assert journal.attempt("k", **about) == Attempt(1, "")
        assert journal.attempt("k", **about) == Attempt(2, "")  # the first was killed
        journal.attempted("k", "no memory", **about)
        assert open_journal().attempt("k", **about) == Attempt(3, "no memory")
        journal.attempted("k", "stopped", counts=False, **about)
        assert journal.attempt("k", **about) == Attempt(3, "stopped")
        assert journal.attempt("other", **about) == Attempt(1, "")

    def test_write_without_a_lease_is_refused(self, journal: Journal) -> None:
        with pytest.raises(LostLease):
            note(journal, epoch=1)
        epoch = journal.acquire("demand", "w1", 10, T0)
        journal.release("demand", "w1", epoch)
        with pytest.raises(LostLease):
            note(journal, epoch=epoch)

    def test_entry_of_a_lost_lease_is_still_told_to_who_wrote_it(self, journal: Journal) -> None:
        old = journal.acquire("demand", "w1", 10, T0)
        made = note(journal, key="k", epoch=old)
        new = journal.acquire("demand", "w2", 10, T0 + 10)
        assert note(journal, key="k", epoch=old) == made  # who lost the answer may ask again
        assert note(journal, key="k", epoch=new) == made
        with pytest.raises(LostLease):
            note(journal, key="other", epoch=old)
        assert journal.entries() == [made]

    def test_epoch_of_one_model_opens_no_other(self, journal: Journal) -> None:
        epoch = journal.acquire("price", "w1", 10, T0)
        with pytest.raises(LostLease):
            note(journal, model="demand", epoch=epoch)

    def test_renew_holds_the_lease(self, journal: Journal) -> None:
        epoch = journal.acquire("demand", "w1", 10, T0)
        journal.renew("demand", "w1", epoch, 10, T0 + 9)
        with pytest.raises(Busy):
            journal.acquire("demand", "w2", 10, T0 + 18)

    def test_renew_of_a_lost_lease_is_refused(self, journal: Journal) -> None:
        epoch = journal.acquire("demand", "w1", 10, T0)
        journal.acquire("demand", "w2", 10, T0 + 10)
        with pytest.raises(LostLease):
            journal.renew("demand", "w1", epoch, 10, T0 + 11)

    def test_release_by_a_loser_leaves_the_winner(self, journal: Journal) -> None:
        old = journal.acquire("demand", "w1", 10, T0)
        new = journal.acquire("demand", "w2", 10, T0 + 10)
        journal.release("demand", "w1", old)
        assert note(journal, epoch=new).epoch == new

    def test_holder_is_told_as_long_as_the_lease_lasts(self, journal: Journal) -> None:
        assert journal.holder("demand", T0) is None
        epoch = journal.acquire("demand", "w1", 10, T0)
        assert journal.holder("demand", T0 + 9) == "w1"
        assert journal.holder("demand", T0 + 10) is None
        journal.release("demand", "w1", epoch)
        assert journal.holder("demand", T0 + 1) is None

    def test_acquires_at_once_have_one_winner(self, open_journal: Callable[[], Journal]) -> None:
        def acquire(journal: Journal) -> int:
            try:
                return journal.acquire("demand", str(threading.get_ident()), 10, T0)
            except Busy:
                return 0

        assert sorted(at_once(open_journal, 6, acquire)) == [0, 0, 0, 0, 0, 1]
