"""Updates that were asked for while a release was under way, and wait for its end.

One is an entry of kind `queued`; it has been taken once another entry bears its key: the request
that was made of it, or the note that says why none was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from instar.ledger.entry import Entry

if TYPE_CHECKING:
    from instar.ledger.protocol import Journal

KIND = "queued"


def key(entry: Entry) -> str:
    """Name the work of taking a queued update: it is done once."""
    return f"{KIND}:{entry.seq}"


def waiting(journal: Journal, model: str | None = None) -> list[Entry]:
    """List the queued updates that nobody has taken, oldest first."""
    queued = journal.entries(model=model, kind=KIND)
    return [entry for entry in queued if journal.by_key(key(entry)) is None]
