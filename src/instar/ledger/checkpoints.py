"""When the ledger's length is signed, and what a ledger must answer for when it is opened.

A chain of hashes does not tell that its end was cut off, or that all of it was written anew. So
every now and then the Merkle root over the entries is signed, in the transaction of the entry that
makes it due, and the newest checkpoint is also kept outside of the database: a database that was
replaced by an older copy, or is gone, does not agree with it and is refused.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, Row, func, select

from instar.core.digest import PREFIX
from instar.core.errors import IntegrityError
from instar.core.merkle import BadProof, Frontier
from instar.ledger import notes, rows
from instar.ledger.chain import Mark
from instar.ledger.entry import GENESIS, Entry, Problem
from instar.ledger.keys import private_key, public_key
from instar.ledger.notes import BadNote, Note
from instar.ledger.protocol import CROWNING, AlteredEntry
from instar.ledger.safedir import SafeDir
from instar.ledger.tables import checkpoints, entries
from instar.ledger.telling import Telling

EVERY = 64  # entries
AFTER_S = 60.0
FILE = "checkpoint"
BESIDE = "the checkpoint beside the database"

_LAST = select(checkpoints.c.size, checkpoints.c.at).order_by(checkpoints.c.size.desc()).limit(1)


class OlderLedger(IntegrityError):
    """Refuse a ledger that is not the one, or not all of the one, that was signed here last."""

    code = "integrity.older_ledger"

    def __init__(self, size: int, got: str) -> None:
        super().__init__(
            f"a database not older than checkpoint {size}",
            got,
            "put the newest database back; if this one is meant, compare it with a witness first, "
            "then move .instar/checkpoint away",
        )


class Checkpoints:
    """Sign how long the ledger of a workspace is, and tell it outside of the database.

    Args:
        home: The workspace's own folder, `.instar`: it holds the key and the newest checkpoint.
        telling: Who else is told.
    """

    def __init__(self, home: Path, telling: Telling | None = None) -> None:
        self._home = home
        self._place = SafeDir(home)
        self._telling = telling
        self._public: Ed25519PublicKey | None = None
        self.untold = False
        """Whether a checkpoint was made since the last one was published."""

    @functools.cached_property
    def _key(self) -> Ed25519PrivateKey:
        key = private_key(self._home, "ledger")
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(type(key).__name__)
        return key

    @property
    def public(self) -> Ed25519PublicKey | None:
        """The key that checkpoints are verified with; None before the first one was signed."""
        self._public = self._public or public_key(self._home)
        return self._public

    # In the transaction.

    def after(self, connection: Connection, entry: Entry) -> None:
        """Sign a checkpoint in the transaction of an entry that makes one due."""
        last = connection.execute(_LAST).one_or_none()
        if (
            last is None
            or entry.kind in CROWNING
            or entry.seq - last.size >= EVERY
            or abs(entry.at - last.at) >= AFTER_S  # a clock set back makes one due as well
        ):
            self.sign(connection, entry.at)

    def sign(self, connection: Connection, at: float) -> None:
        """Sign the entries so far, unless the last checkpoint covers them.

        Raises:
            AlteredEntry: what has come since the last checkpoint is not as it was sealed, or there
                are entries missing; that is not signed.
            BadNote: the last checkpoint is not as it was signed.
        """
        frontier = self._frontier(newest(connection))
        before = frontier.size
        link = select(entries.c.hash).where(entries.c.seq == before)
        prev = connection.execute(link).scalar_one_or_none() if before else GENESIS
        for row in rows.walk(connection, after=before):
            if (row[0], row[10], row[11]) != (frontier.size + 1, prev, rows.seal(row)):
                raise AlteredEntry(frontier.size + 1)
            prev = row[11]
            frontier.add(bytes.fromhex(prev[len(PREFIX) :]))
        if frontier.size == before:
            return
        note = notes.checkpoint(self._key, frontier.size, frontier.root())
        connection.execute(
            checkpoints.insert().values(
                size=note.size,
                root=PREFIX + note.root.hex(),
                frontier=_written(frontier),
                note=note.text,
                at=at,
            )
        )
        self.untold = True

    def _frontier(self, last: Row[Any] | None) -> Frontier:
        """Go on from the last checkpoint, but only from one that our key has signed."""
        if last is None:
            return Frontier()
        signed = notes.verify(notes.read(last.note), self._key.public_key())
        frontier = resumed(last)
        if frontier is None or (signed.size, signed.root) != (last.size, frontier.root()):
            raise BadNote("another frontier beside it")
        return frontier

    # After the commit.

    def publish(self, connection: Connection) -> None:
        """Put the newest checkpoint beside the database, and have the witnesses told.

        It is read from the database, so that nothing is told that was not committed.

        Raises:
            StoreFailed: the file could not be written; the next checkpoint tries again.
        """
        last = newest(connection)
        if last is None:
            return
        note = notes.read(last.note)
        there = beside(self._place)
        if there is None or _size(there) < note.size:
            self._place.keep(FILE, [note.text.encode()])
        self.untold = False
        if self._telling:
            self._telling.tell(note)

    def settle(self) -> None:
        """Wait for the witnesses that are being told, not longer than they are given."""
        if self._telling:
            self._telling.settle()

    # At opening and in an audit.

    def refuse_older(self, connection: Connection) -> None:
        """Hold the database against the checkpoint beside it.

        Raises:
            OlderLedger: the ledger is shorter, or holds other entries.
            BadNote: the ledger does not agree, and the checkpoint is not as it was signed.
        """
        text = beside(self._place)
        if text is None:
            return
        note = notes.read(text)
        same = select(checkpoints.c.note).where(checkpoints.c.size == note.size)
        length = connection.execute(select(func.max(entries.c.seq))).scalar_one() or 0
        if length >= note.size and connection.execute(same).scalar_one_or_none() == text:
            return
        if self.public is not None:
            notes.verify(note, self.public)
        if length < note.size:
            raise OlderLedger(note.size, f"one that ends at entry {length}")
        if _root(connection, note.size) != note.root:
            raise OlderLedger(note.size, "one with other entries")

    def marks(self, connection: Connection) -> Iterator[Mark]:
        """Give the ledger's own checkpoints, smallest first, each with its flaw if it has one."""
        query = select(checkpoints.c.size, checkpoints.c.root, checkpoints.c.note)
        query = query.order_by(checkpoints.c.size).execution_options(yield_per=rows.PAGE)
        for size, root, text in connection.execute(query):
            yield self._mark(str(text), "altered", f"the checkpoint of {size}", size, root)

    def mark_beside(self) -> Mark | None:
        """Give the checkpoint beside the database."""
        try:
            text = beside(self._place)
        except BadNote as error:
            return Mark(0, b"", "older", BESIDE, f"{BESIDE} is not as it was signed: {error.got}")
        return None if text is None else self._mark(text, "older", BESIDE)

    def _mark(self, text: str, code: str, by: str, size: int | None = None, root: str = "") -> Mark:
        try:
            note = notes.read(text)
            flaw = self._flaw(note, size, root)
        except BadNote as error:
            return Mark(size or 0, b"", code, by, f"{by} is not as it was signed: {error.got}")
        known = "its own checkpoint" if size is not None else by
        return Mark(size or note.size, note.root, code, known, f"{by}: {flaw}" if flaw else "")

    def _flaw(self, note: Note, size: int | None, root: str) -> str:
        if self.public is None:
            return "there is no key to verify it with"
        notes.verify(note, self.public)
        if note.size == 0:
            return "it is one of no entries"
        if size is not None and (note.size, PREFIX + note.root.hex()) != (size, root):
            return f"it was signed for {note.size} entries, or another root stands beside it"
        return ""

    def unfit(self, connection: Connection) -> Iterator[Problem]:
        """Tell if the next checkpoint could not go on from the last one."""
        last = newest(connection)
        if last is not None:
            frontier = resumed(last)
            if frontier is None or PREFIX + frontier.root().hex() != last.root:
                message = f"the checkpoint of {last.size} has another frontier beside it"
                yield Problem(last.size, "signature", message)


def newest(connection: Connection) -> Row[Any] | None:
    """Return the row of the last checkpoint."""
    query = select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)
    return connection.execute(query).one_or_none()


def texts(connection: Connection) -> Iterator[str]:
    """Give all checkpoints as notes, smallest first."""
    query = select(checkpoints.c.note).order_by(checkpoints.c.size)
    for (text,) in connection.execute(query.execution_options(yield_per=rows.PAGE)):
        yield text


def resumed(last: Row[Any]) -> Frontier | None:
    """Read the frontier that was kept with a checkpoint; None if it is none."""
    try:
        frontier = Frontier(last.size, map(bytes.fromhex, json.loads(last.frontier)))
    except (ValueError, TypeError, RecursionError, BadProof):
        return None
    return frontier if _written(frontier) == last.frontier else None


def _written(frontier: Frontier) -> str:
    return json.dumps([peak.hex() for peak in frontier.peaks])


def beside(place: SafeDir) -> str | None:
    """Read the checkpoint beside the database.

    Raises:
        BadNote: it is no text.
        StoreFailed: it cannot be read.
    """
    try:
        return place.read(FILE).decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise BadNote("bytes that are no text") from error


def refuse_missing(home: Path) -> None:
    """Refuse to lay down a new database where a checkpoint says that there was one.

    Raises:
        OlderLedger: there was.
    """
    text = beside(SafeDir(home))
    if text is not None:
        raise OlderLedger(_size(text), "no database at all")


def _size(text: str) -> int:
    try:
        return notes.read(text).size
    except BadNote:
        return 0


def _root(connection: Connection, size: int) -> bytes:
    frontier = Frontier()
    query = select(entries.c.hash).where(entries.c.seq <= size).order_by(entries.c.seq)
    for (sealed,) in connection.execute(query.execution_options(yield_per=rows.PAGE)):
        frontier.add(bytes.fromhex(sealed[len(PREFIX) :]))
    return frontier.root()
