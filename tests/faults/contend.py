"""Two controllers that want to act on one model line at the same moment."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from instar.ledger.journal import Busy, Journal
from instar.testing.contracts.journal import note


def contend(journals: Sequence[Journal], tries: int) -> None:
    """Have each ask for the lease at the same moment, again and again; exactly one gets to act."""
    barrier = threading.Barrier(len(journals))

    def controller(number: int) -> list[int]:
        journal, acted = journals[number], []
        for turn in range(tries):
            barrier.wait()
            try:
                epoch = journal.acquire("demand", f"c{number}", 60, 0.0)
            except Busy:
                epoch = 0
            if epoch:
                note(journal, key=f"stage:{turn}", epoch=epoch)
                acted.append(turn)
            barrier.wait()  # both have tried
            if epoch:
                journal.release("demand", f"c{number}", epoch)
            barrier.wait()
        return acted

    with ThreadPoolExecutor(len(journals)) as pool:
        acted = sorted(itertools.chain(*pool.map(controller, range(len(journals)))))
    assert acted == list(range(tries))  # each time one, and never two
    entries = journals[0].entries()
    assert [entry.key for entry in entries] == [f"stage:{turn}" for turn in range(tries)]
    epochs = [entry.epoch for entry in entries]
    assert epochs == list(range(1, tries + 1))
