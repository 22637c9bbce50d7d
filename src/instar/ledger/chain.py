"""The audit of a journal: every seal computed again, every link followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from instar.ledger.entry import GENESIS, Entry, Problem


def problems(entries: Iterable[Entry]) -> Iterator[Problem]:
    """Walk a journal's entries in order and tell what does not agree.

    One change makes one problem: the walk goes on from the hash that was stored.
    """
    seq, prev = 0, GENESIS
    for entry in entries:
        if entry.seq != seq + 1:
            yield Problem(entry.seq, "cut", f"entry {entry.seq} follows entry {seq}")
        elif entry.prev != prev:
            yield Problem(entry.seq, "unlinked", f"entry {entry.seq} does not follow from {seq}")
        if entry.seal() != entry.hash:
            yield Problem(entry.seq, "altered", f"entry {entry.seq} is not what was sealed")
        seq, prev = entry.seq, entry.hash


def misplaced(pointers: Mapping[str, int], named: Mapping[str, int]) -> Iterator[Problem]:
    """Hold each model's pointer against the last entry that named its champion."""
    for model in sorted({*pointers, *named}):
        points, should = pointers.get(model, 0), named.get(model, 0)
        if points != should:
            message = f"the champion of {model!r} is entry {points}; the entries name {should}"
            yield Problem(should or points, "pointer", message)
