"""The journal in a database, through SQLAlchemy: the same for every database.

A database adds an engine whose transactions are serial for writers, and which says in our
words what its errors mean (see `sqlite.py`, `postgres.py`). What fails for a passing reason is
done again here, as a whole transaction: each is harmless to repeat, since it first looks for
the entry that it would write.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Select, bindparam, func, select
from sqlalchemy.exc import TimeoutError as PoolTimeout

from instar.core import merkle
from instar.core.crash import crashpoint
from instar.core.digest import PREFIX
from instar.core.errors import BackendError
from instar.core.records import person
from instar.ledger import (
    attempts,
    chain,
    checkpoints,
    files,
    holds,
    leases,
    people,
    retry,
    rows,
)
from instar.ledger.chain import Mark
from instar.ledger.checkpoints import Checkpoints
from instar.ledger.entry import GENESIS, Entry, Problem
from instar.ledger.failures import LedgerBusy, LedgerUnreachable, OutcomeUnknown
from instar.ledger.people import Forgotten
from instar.ledger.protocol import (
    CROWNING,
    Attempt,
    Hold,
    Overruled,
    StaleChampion,
    TakenKey,
    UnknownEntry,
    WrongKind,
)
from instar.ledger.tables import entries, outbox, pointers

T = TypeVar("T")
_TOLD = 100  # problems listed; a ruined file has one a row

# What every append asks, made once: to make a statement costs more than to run it.
_HEAD = select(entries.c.seq, entries.c.hash).order_by(entries.c.seq.desc()).limit(1)
_OF_KEY = select(entries).where(entries.c.key == bindparam("key"))
_INSERT = entries.insert()


class SqlJournal:
    """Keep entries, champions and leases in one database, each change in one transaction.

    `clock` gives the date that an entry carries, in seconds since the epoch. For `patience_s`
    seconds what fails for a passing reason is tried again. With `signing`, the entries are covered
    by signed checkpoints.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float] = time.time,
        patience_s: float = 30.0,
        signing: Checkpoints | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._patience_s = patience_s
        self._signing = signing

    def _reading(self) -> Connection:
        """Open a connection that sees one state of the journal, from its first question on."""
        return self._connect().execution_options(reads=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Open a transaction that keeps other writers out, and commit it at the end."""
        with self._connect() as connection, connection.begin():
            yield connection
        # What is committed is not undone because a checkpoint could not be put beside it: the
        # next one takes its place, and `checkpoint` says what is wrong.
        with contextlib.suppress(BackendError):
            self._publish(again=False)

    def _publish(self, *, again: bool) -> None:
        if self._signing and (self._signing.untold or again):
            crashpoint("journal.checkpoint.committed")
            with self._reading() as connection:
                self._signing.publish(connection)

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except PoolTimeout as error:
            raise LedgerBusy(self._patience_s, "every connection in use") from error

    def _read(self, act: Callable[[Connection], T]) -> T:
        """Ask; again, while asking fails for a passing reason."""

        def once() -> T:
            with self._reading() as connection:
                return act(connection)

        return retry.patiently(once, self._patience_s)

    def _write(self, act: Callable[[Connection], T]) -> T:
        """Change something in one transaction; again, while it fails for a passing reason.

        Args:
            act: What to do in the transaction. Where a commit's answer is lost, it is done again
                under the writers' lock: it must find what the first time may have left there.
        Raises:
            OutcomeUnknown: time is up, and nobody could say whether the commit was done.
        """
        unknown = False

        def once() -> T:
            nonlocal unknown
            acted = False
            try:
                with self._writing() as connection:
                    done = act(connection)
                    acted = True
            except LedgerUnreachable:
                unknown = unknown or acted
                raise
            return done

        try:
            return retry.patiently(once, self._patience_s)
        except BackendError as error:
            if unknown and error.retryable:
                raise OutcomeUnknown from error
            raise

    def close(self) -> None:
        """Give the connections back, once the witnesses have been told."""
        if self._signing:
            self._signing.settle()
        self._engine.dispose()

    def append(
        self,
        kind: str,
        body: Mapping[str, Any],
        *,
        update: str | None,
        model: str,
        actor: str,
        key: str | None = None,
        epoch: int | None = None,
        work: Mapping[str, Any] | None = None,
        takes_over: bool = False,
        unless: str = "",
    ) -> Entry:
        """Append an entry and return it; of the same `key`, return the one that is there.

        A person's word that stops whoever works on the model `takes_over`: in the same
        transaction the model's epoch is raised, and the entry carries the new one.

        Raises:
            LostLease: `epoch` is not that of the model's lease.
            Overruled: the update has an entry of the kind `unless`.
            TakenKey: the entry of that key is of another kind, model or update.
            WrongKind: the kind names a champion; that is for `promote`.
        """
        if kind in CROWNING:
            raise WrongKind(kind, "append")
        draft = rows.draft(kind, body, update, model, actor, key, epoch, work)

        def act(connection: Connection) -> Entry:
            if standing := _standing(connection, draft):
                return standing
            if unless:
                _forbid(connection, draft, unless)
            return self._seal(connection, _taking_over(connection, draft, takes_over=takes_over))

        crashpoint(f"journal.append.{kind}")
        entry = self._write(act)
        crashpoint(f"journal.append.{kind}.committed")
        return entry

    def promote(
        self,
        model: str,
        *,
        expect: int | None,
        body: Mapping[str, Any],
        actor: str,
        epoch: int | None,
        kind: str = "promotion",
        update: str | None = None,
        key: str | None = None,
        work: Mapping[str, Any] | None = None,
        takes_over: bool = False,
        hold: Hold | None = None,
    ) -> Entry:
        """Put a version in the champion's place: entry, pointer and outbox row, or none of them.

        `expect` is the `seq` of today's champion entry, None before the adoption. A second call
        with the same `key` returns the entry of the first and moves nothing. `hold` keeps the
        champion before for the way back; `takes_over` fences off whoever works on the model.

        Raises:
            StaleChampion: another entry names the champion by now.
            LostLease: `epoch` is not that of the model's lease.
            WrongKind: the kind does not name a champion.
        """
        if kind not in CROWNING:
            raise WrongKind(kind, "promote")
        draft = rows.draft(kind, body, update, model, actor, key, epoch, work)

        def act(connection: Connection) -> Entry:
            if standing := _standing(connection, draft):
                return standing
            entry = self._seal(connection, _taking_over(connection, draft, takes_over=takes_over))
            _point(connection, entry, expect)
            if hold is not None and expect is not None:
                holds.place(connection, model, expect, hold, entry.at)
            connection.execute(
                outbox.insert().values(
                    seq=entry.seq, kind=kind, body=rows.text(entry.body), delivered=False
                )
            )
            return entry

        crashpoint(f"journal.promote.{kind}")
        entry = self._write(act)
        crashpoint(f"journal.promote.{kind}.committed")
        return entry

    def _seal(self, connection: Connection, draft: Entry) -> Entry:
        if not people.known(connection, draft.actor):
            raise Forgotten
        head = connection.execute(_HEAD).one_or_none()
        seq, prev = (head.seq, head.hash) if head else (0, GENESIS)
        entry = dataclasses.replace(draft, seq=seq + 1, prev=prev, at=round(self._clock(), 3))
        entry = dataclasses.replace(entry, hash=entry.seal())
        connection.execute(_INSERT, rows.row(entry))
        if self._signing:
            self._signing.after(connection, entry)
        return entry

    def person(self, name: str) -> str:
        """Give the pseudonym under which a person acts; one whom nobody has met gets a new one.

        Raises:
            UnwritableText: the name is longer than 200 characters, or no text.
        """
        if not person(name):
            return name  # nobody: the vote of nobody does not count
        rows.holdable("actor", name)
        rows.holdable("actor", person(name))
        found = self._read(lambda connection: people.pseudonym(connection, name))
        return found or self._write(lambda connection: people.met(connection, name))

    def people(self) -> dict[str, str]:
        """List who is who: names as they were typed, by pseudonym."""
        return self._read(people.names)

    def forget(self, name: str, may: Callable[[str], None]) -> bool:
        """Forget who somebody is; tell whether they were known.

        `may` is asked while nobody else writes, and raises if this one must not be forgotten.
        """

        def act(connection: Connection) -> bool:
            found = people.pseudonym(connection, name)
            if found is not None:
                may(found)
                people.forget(connection, found)
            return found is not None

        crashpoint("journal.forget")
        done = self._write(act)
        crashpoint("journal.forget.committed")
        return done

    def checkpoint(self) -> None:
        """Sign the entries so far, and tell it outside of the database.

        Raises:
            AlteredEntry: they are not as they were sealed, and are not signed.
            StoreFailed: the checkpoint could not be put beside the database.
        """
        if self._signing:
            signing = self._signing
            self._write(lambda connection: signing.sign(connection, round(self._clock(), 3)))
            self._publish(again=True)
            signing.settle()

    def refuse_older(self) -> None:
        """Hold the database against the checkpoint beside it.

        Raises:
            OlderLedger: it is an older one, or another.
        """
        if self._signing:
            with self._reading() as connection:
                self._signing.refuse_older(connection)

    def entries(
        self,
        *,
        update: str | None = None,
        model: str | None = None,
        kind: str | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> list[Entry]:
        """List entries in order, those after `after`, at most `limit`."""
        query = rows.chosen(update, model, kind).where(entries.c.seq > after)
        return self._read(
            lambda connection: [rows.sound(row) for row in connection.execute(query.limit(limit))]
        )

    def last(
        self, kind: str, *, update: str | None = None, model: str | None = None
    ) -> Entry | None:
        """Return the newest entry of a kind."""
        query = rows.chosen(update, model, kind).order_by(None).order_by(entries.c.seq.desc())
        return self._one(query.limit(1))

    def by_key(self, key: str) -> Entry | None:
        """Return the entry that was made under a key."""
        return self._one(select(entries).where(entries.c.key == key))

    def champion(self, model: str) -> Entry | None:
        """Return the entry that the model's pointer names; its body holds the version."""
        return self._one(
            select(entries)
            .join(pointers, pointers.c.version_seq == entries.c.seq)
            .where(pointers.c.model == model)
        )

    def _one(self, query: Select[Any]) -> Entry | None:
        row = self._read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else rows.sound(row)

    def undelivered(self) -> list[Entry]:
        """List the promotions that nobody outside has been told of yet, in order."""
        query = select(entries).join(outbox, outbox.c.seq == entries.c.seq)
        query = query.where(~outbox.c.delivered).order_by(entries.c.seq)
        return self._read(lambda connection: [rows.sound(row) for row in connection.execute(query)])

    def delivered(self, seq: int) -> None:
        """Note that everyone has been told of a promotion."""
        told = outbox.update().where(outbox.c.seq == seq).values(delivered=True)
        crashpoint("journal.delivered")
        self._write(lambda connection: connection.execute(told))
        crashpoint("journal.delivered.committed")

    def held(self, boot: tuple[str, float], model: str | None = None) -> list[Entry]:
        """List the champions' entries whose versions are held for the way back.

        Args:
            boot: Which start of the machine this is, and the seconds since.
            model: The model line; None for all.
        """
        name, now = boot
        if self._read(lambda connection: holds.foreign(connection, name)):
            crashpoint("journal.held")
            self._write(lambda connection: holds.begin_again(connection, name, now))
            crashpoint("journal.held.committed")
        return self._read(lambda connection: holds.held(connection, name, now, model))

    def attempt(self, key: str, *, model: str, epoch: int | None) -> Attempt:
        """Count, durably, that the work `key` is begun once more; call it before the work.

        Raises:
            LostLease: `epoch` is not that of the model's lease.
        """

        def act(connection: Connection) -> Attempt:
            leases.fence(connection, model, epoch)
            return attempts.begin(connection, key)

        crashpoint("journal.attempt")
        made = self._write(act)
        crashpoint("journal.attempt.committed")
        return made

    def attempted(
        self, key: str, reason: str, *, model: str, epoch: int | None, counts: bool = True
    ) -> None:
        """Note how an attempt ended that left no record; one stopped from outside does not count.

        Raises:
            LostLease: `epoch` is not that of the model's lease.
        """

        def act(connection: Connection) -> None:
            leases.fence(connection, model, epoch)
            attempts.end(connection, key, reason, counts=counts)

        crashpoint("journal.attempted")
        self._write(act)
        crashpoint("journal.attempted.committed")

    def acquire(
        self, model: str, holder: str, ttl_s: float, now: float, instead_of: str | None = None
    ) -> int:
        """Take the lease on a model for `ttl_s` seconds and return its fencing epoch.

        `instead_of` names a holder that is known to have died: nobody waits for its time to end.

        Raises:
            Busy: somebody else holds it.
        """
        crashpoint("journal.acquire")
        epoch = self._write(
            lambda connection: leases.grant(connection, model, holder, ttl_s, now, instead_of)
        )
        crashpoint("journal.acquire.committed")
        return epoch

    def renew(self, model: str, holder: str, epoch: int, ttl_s: float, now: float) -> None:
        """Hold a lease for `ttl_s` seconds from now on.

        Raises:
            LostLease: it went to somebody else.
        """
        self._write(lambda connection: leases.prolong(connection, model, holder, epoch, ttl_s, now))

    def release(self, model: str, holder: str, epoch: int) -> None:
        """Give a lease back; doing so twice, or after losing it, changes nothing."""
        crashpoint("journal.release")
        self._write(lambda connection: leases.free(connection, model, holder, epoch))
        crashpoint("journal.release.committed")

    def holder(self, model: str, now: float) -> str | None:
        """Name who works on a model now."""
        return self._read(lambda connection: leases.holder(connection, model, now))

    def epoch(self, model: str) -> int:
        """Tell the highest fencing epoch of a model so far; 0 where there was none."""
        return self._read(lambda connection: leases.epoch(connection, model))

    def count(self) -> int:
        """Count the entries."""
        with self._reading() as connection:
            return int(connection.execute(select(func.count()).select_from(entries)).scalar_one())

    def verify(self, marks: Iterable[Mark] = (), *, deep: bool = False) -> list[Problem]:
        """Compute every seal again, follow every link, hold every checkpoint against the entries.

        One snapshot of the journal is walked, a page of rows in memory at a time; the first hundred
        problems are listed.

        Args:
            marks: What others know of this ledger.
            deep: Look into the database's own structures, too, where it has a way.
        """
        named: dict[str, int] = {}
        with self._reading() as connection:
            walk = _noting(self._rows(connection), named)
            found = list(
                itertools.islice(chain.problems(walk, self._marks(connection, marks)), _TOLD)
            )
            if len(found) == _TOLD:
                return found
            points = {row.model: row.version_seq for row in connection.execute(select(pointers))}
            unfit = self._signing.unfit(connection) if self._signing else ()
            return [*found, *unfit, *chain.misplaced(points, named)]

    def _rows(self, connection: Connection) -> Iterator[Sequence[Any]]:
        """Walk the rows of the journal; a database may know a shorter way."""
        return rows.walk(connection)

    def _marks(self, connection: Connection, others: Iterable[Mark]) -> Iterator[Mark]:
        if self._signing is None:
            return iter(sorted(others, key=lambda mark: mark.size))
        beside = self._signing.mark_beside()
        known = sorted([*([beside] if beside else []), *others], key=lambda mark: mark.size)
        return heapq.merge(self._signing.marks(connection), known, key=lambda mark: mark.size)

    def export(self, path: Path, notes: Path | None = None) -> int:
        """Write every entry as one line of canonical JSON, and return how many there are.

        Args:
            path: The file for the entries.
            notes: The file for the checkpoints, each followed by an empty line.
        Raises:
            AlteredEntry: a row cannot be written as it was sealed.
        """
        count = 0

        def lines() -> Iterator[bytes]:
            nonlocal count
            for row in self._rows(connection):
                count += 1
                yield rows.line(row)

        with self._reading() as connection, files.mapped():
            files.settle(files.write(path.parent, lines()), path)
            if notes is not None:
                texts = (f"{text}\n".encode() for text in checkpoints.texts(connection))
                files.settle(files.write(notes.parent, texts), notes)
        return count

    def prove(self, seq: int) -> dict[str, Any]:
        """Prove by its Merkle path that the last checkpoint covers an entry.

        Raises:
            UnknownEntry: no checkpoint covers such an entry.
        """
        with self._reading() as connection:
            last = checkpoints.newest(connection)
            row = connection.execute(select(entries).where(entries.c.seq == seq)).one_or_none()
            if last is None or row is None or not seq <= last.size:
                raise UnknownEntry(seq, last.size if last else 0)
            query = select(entries.c.hash).where(entries.c.seq <= last.size).order_by(entries.c.seq)
            hashes = connection.execute(query.execution_options(yield_per=rows.PAGE)).scalars()
            leaves = (bytes.fromhex(sealed.removeprefix(PREFIX)) for sealed in hashes)
            path = merkle.roots(merkle.inclusion(seq - 1, last.size), leaves)
            return {
                "entry": rows.sound(row).plain(),
                "place": seq - 1,
                "path": [step.hex() for step in path],
                "checkpoint": last.note,
            }


def _standing(connection: Connection, draft: Entry) -> Entry | None:
    """Find the entry that was made for this work, and let only the lease's holder go on.

    What a lease's holder wrote is its own even after the lease: it may have lost the answer.
    """
    found = _adopt(connection, draft)
    if found is None or found.epoch != draft.epoch:
        leases.fence(connection, draft.model, draft.epoch)
    return found


def _taking_over(connection: Connection, draft: Entry, *, takes_over: bool) -> Entry:
    """Let a person's word fence off whoever works on the model, and carry the new epoch."""
    if not takes_over:
        return draft
    return dataclasses.replace(draft, epoch=leases.take_over(connection, draft.model))


def _adopt(connection: Connection, draft: Entry) -> Entry | None:
    row = connection.execute(_OF_KEY, {"key": draft.key}).one_or_none()
    if row is None:
        return None
    found = rows.sound(row)
    if (found.kind, found.model, found.update) != (draft.kind, draft.model, draft.update):
        raise TakenKey(str(draft.key), found)
    return found


def _forbid(connection: Connection, draft: Entry, kind: str) -> None:
    """Refuse an entry where the update has one of another kind already."""
    query = rows.chosen(draft.update, draft.model, kind).limit(1)
    if row := connection.execute(query).one_or_none():
        raise Overruled(draft.kind, rows.sound(row))


def _point(connection: Connection, entry: Entry, expect: int | None) -> None:
    """Compare and set: move the pointer only from where the promoter believes it to be."""
    here = pointers.c.model == entry.model
    found = connection.execute(select(pointers.c.version_seq).where(here)).scalar_one_or_none()
    if found != expect:
        raise StaleChampion(entry.model, expect, found)
    values = {"version_seq": entry.seq, "epoch": entry.epoch}
    if expect is None:
        connection.execute(pointers.insert().values(model=entry.model, **values))
    else:
        connection.execute(pointers.update().where(here).values(**values))


def _noting(walk: Iterator[Sequence[Any]], named: dict[str, int]) -> Iterator[Sequence[Any]]:
    """Pass rows on and keep, by model, the last one that names a champion."""
    for row in walk:
        if row[3] in CROWNING:
            named[row[2]] = row[0]
        yield row
