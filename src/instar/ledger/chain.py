"""The audit of a journal: every seal computed again, every link followed, every checkpoint held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from instar.core.digest import PREFIX, is_digest
from instar.core.merkle import Frontier
from instar.ledger import rows
from instar.ledger.entry import GENESIS, Problem


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody knows of the ledger: that its first `size` entries had this Merkle `root`.

    `code` is the problem if the ledger does not agree: `altered` for the ledger's own
    checkpoints, `older` for the one beside the database, `witness` for what a witness keeps; `by`
    names it for people. A mark with a `flaw` is not held against anything: the flaw is the problem.
    """

    size: int
    root: bytes
    code: str
    by: str
    flaw: str = ""


def problems(entries: Iterable[Sequence[Any]], marks: Iterable[Mark] = ()) -> Iterator[Problem]:
    """Walk a journal's rows in order, beside marks in the order of their sizes.

    One change makes one problem: the walk goes on from the hash that was stored, and roots are
    compared as long as the chain holds, with each keeper of marks until the first that differs.
    What a mark covers is taken byte for byte, as it was signed; the entries after the last one must
    be canonical JSON, too.
    """
    seq, prev, whole, agreed = 0, GENESIS, True, 0
    frontier, told, ahead = Frontier(), set[str](), iter(marks)
    mark = next(ahead, None)
    for row in entries:
        here, before, stored = row[0], row[10], row[11]
        if here != seq + 1:
            code, how = ("cut", "follows") if here > seq else ("altered", "stands after")
            yield Problem(here, code, f"entry {here} {how} entry {seq}")
            whole = False
        elif before != prev:
            yield Problem(here, "unlinked", f"entry {here} does not follow from {seq}")
            whole = False
        if rows.seal(row) != stored or (mark is None and not rows.canonical_texts(row)):
            yield Problem(here, "altered", f"entry {here} is not what was sealed")
            whole = whole and is_digest(str(stored))
        seq, prev = here, stored
        if whole:
            frontier.add(bytes.fromhex(stored[len(PREFIX) :]))
        while mark is not None and mark.size <= seq:
            if mark.flaw:
                yield Problem(mark.size, "signature", mark.flaw)
            elif whole and mark.by not in told:
                if mark.size == seq and frontier.root() == mark.root:
                    agreed = seq
                else:
                    told.add(mark.by)
                    yield _other(mark, agreed)
            mark = next(ahead, None)
    yield from _beyond(seq, mark, ahead)


def _other(mark: Mark, agreed: int) -> Problem:
    where = (
        f"an entry out of {agreed + 1} to {mark.size}" if agreed + 1 < mark.size else "the entry"
    )
    return Problem(
        min(agreed + 1, mark.size),
        mark.code,
        f"{where} is another than at entry {mark.size} {mark.by} says",
    )


def _beyond(seq: int, mark: Mark | None, ahead: Iterator[Mark]) -> Iterator[Problem]:
    """Tell who knows of more entries than there are."""
    longest: dict[str, Mark] = {}
    while mark is not None:
        if mark.flaw:
            yield Problem(mark.size, "signature", mark.flaw)
        else:
            longest[mark.by] = mark
        mark = next(ahead, None)
    for by, last in longest.items():
        code = "cut" if last.code == "altered" else "older"
        yield Problem(seq + 1, code, f"the ledger ends at entry {seq}; {by} knows of {last.size}")


def misplaced(pointers: Mapping[str, int], named: Mapping[str, int]) -> Iterator[Problem]:
    """Hold each model's pointer against the last entry that named its champion."""
    for model in sorted({*pointers, *named}):
        points, should = pointers.get(model, 0), named.get(model, 0)
        if points != should:
            message = f"the champion of {model!r} is entry {points}; the entries name {should}"
            yield Problem(should or points, "pointer", message)
