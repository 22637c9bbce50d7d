"""The journal in a database, through SQLAlchemy: the same for every database.

A database adds an engine whose transactions are serial for writers (see `sqlite.py`).
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select

from instar.core.crash import crashpoint
from instar.core.digest import canonical
from instar.ledger import chain, files, leases, rows
from instar.ledger.entry import GENESIS, Entry, Problem
from instar.ledger.protocol import CROWNING, StaleChampion, TakenKey, WrongKind
from instar.ledger.tables import entries, holds, outbox, pointers

_TOLD = 100  # problems listed; a ruined file has one a row


class SqlJournal:
    """Keep entries, champions and leases in one database, each change in one transaction.

    `clock` gives the date that an entry carries, in seconds since the epoch.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def _reading(self) -> Connection:
        return self._engine.connect().execution_options(reads=True)

    def _writing(self) -> AbstractContextManager[Connection]:
        return self._engine.begin()

    def close(self) -> None:
        """Give the connections back."""
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
    ) -> Entry:
        """Append an entry and return it; of the same `key`, return the one that is there.

        Raises:
            LostLease: `epoch` is not that of the model's lease.
            TakenKey: the entry of that key is of another kind, model or update.
            WrongKind: the kind names a champion; that is for `promote`.
        """
        if kind in CROWNING:
            raise WrongKind(kind, "append")
        draft = rows.draft(kind, body, update, model, actor, key, epoch, work)
        crashpoint(f"journal.append.{kind}")
        with self._writing() as connection:
            leases.fence(connection, model, epoch)
            entry = _adopt(connection, draft) or self._seal(connection, draft)
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
    ) -> Entry:
        """Put a version in the champion's place: entry, pointer and outbox row, or none of them.

        `expect` is the `seq` of today's champion entry, None before the adoption. A second call
        with the same `key` returns the entry of the first and moves nothing.

        Raises:
            StaleChampion: another entry names the champion by now.
            LostLease: `epoch` is not that of the model's lease.
            WrongKind: the kind does not name a champion.
        """
        if kind not in CROWNING:
            raise WrongKind(kind, "promote")
        draft = rows.draft(kind, body, update, model, actor, key, epoch, work)
        crashpoint(f"journal.promote.{kind}")
        with self._writing() as connection:
            leases.fence(connection, model, epoch)
            if adopted := _adopt(connection, draft):
                return adopted
            entry = self._seal(connection, draft)
            _point(connection, entry, expect)
            connection.execute(
                outbox.insert().values(seq=entry.seq, kind=kind, body=rows.text(entry.body))
            )
        crashpoint(f"journal.promote.{kind}.committed")
        return entry

    def _seal(self, connection: Connection, draft: Entry) -> Entry:
        head = connection.execute(
            select(entries.c.seq, entries.c.hash).order_by(entries.c.seq.desc()).limit(1)
        ).one_or_none()
        seq, prev = (head.seq, head.hash) if head else (0, GENESIS)
        entry = dataclasses.replace(draft, seq=seq + 1, prev=prev, at=round(self._clock(), 3))
        entry = dataclasses.replace(entry, hash=entry.seal())
        connection.execute(entries.insert().values(rows.row(entry)))
        return entry

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
        with self._reading() as connection:
            return [rows.sound(row) for row in connection.execute(query.limit(limit))]

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
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else rows.sound(row)

    def held(self) -> list[Entry]:
        """List the entries of the versions that are kept for the way back, in order."""
        query = select(entries).join(holds, holds.c.version_seq == entries.c.seq)
        with self._reading() as connection:
            found = connection.execute(query.order_by(entries.c.seq))
            return [rows.sound(row) for row in found]

    def undelivered(self) -> list[Entry]:
        """List the promotions that nobody outside has been told of yet, in order."""
        query = select(entries).join(outbox, outbox.c.seq == entries.c.seq)
        with self._reading() as connection:
            found = connection.execute(query.where(~outbox.c.delivered).order_by(entries.c.seq))
            return [rows.sound(row) for row in found]

    def delivered(self, seq: int) -> None:
        """Note that everyone has been told of a promotion."""
        with self._writing() as connection:
            connection.execute(outbox.update().where(outbox.c.seq == seq).values(delivered=True))

    def acquire(self, model: str, holder: str, ttl_s: float, now: float) -> int:
        """Take the lease on a model for `ttl_s` seconds and return its fencing epoch.

        Raises:
            Busy: somebody else holds it.
        """
        with self._writing() as connection:
            return leases.grant(connection, model, holder, ttl_s, now)

    def renew(self, model: str, holder: str, epoch: int, ttl_s: float, now: float) -> None:
        """Hold a lease for `ttl_s` seconds from now on.

        Raises:
            LostLease: it went to somebody else.
        """
        with self._writing() as connection:
            leases.prolong(connection, model, holder, epoch, ttl_s, now)

    def release(self, model: str, holder: str, epoch: int) -> None:
        """Give a lease back; doing so twice, or after losing it, changes nothing."""
        with self._writing() as connection:
            leases.free(connection, model, holder, epoch)

    def holder(self, model: str, now: float) -> str | None:
        """Name who works on a model now."""
        with self._reading() as connection:
            return leases.holder(connection, model, now)

    def verify(self) -> list[Problem]:
        """Compute every seal again and follow every link; list the first hundred problems.

        One snapshot of the journal is walked, a page of rows in memory at a time.
        """
        named: dict[str, int] = {}
        with self._reading() as connection:
            walk = _noting(rows.walk(connection), named)
            found = list(itertools.islice(chain.problems(walk), _TOLD))
            points = {row.model: row.version_seq for row in connection.execute(select(pointers))}
        return found if len(found) == _TOLD else [*found, *chain.misplaced(points, named)]

    def export(self, path: Path) -> int:
        """Write every entry as one line of canonical JSON, and return how many there are."""
        with self._reading() as connection, files.mapped():
            lines = (canonical(made.plain()) + b"\n" for made in rows.walk(connection))
            files.settle(files.write(path.parent, lines), path)
            return int(connection.execute(select(func.count()).select_from(entries)).scalar_one())


def _adopt(connection: Connection, draft: Entry) -> Entry | None:
    if draft.key is None:
        return None
    row = connection.execute(select(entries).where(entries.c.key == draft.key)).one_or_none()
    if row is None:
        return None
    found = rows.sound(row)
    if (found.kind, found.model, found.update) != (draft.kind, draft.model, draft.update):
        raise TakenKey(draft.key, found)
    return found


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


def _noting(walk: Iterator[Entry], named: dict[str, int]) -> Iterator[Entry]:
    """Pass entries on and keep, by model, the last one that names a champion."""
    for entry in walk:
        if entry.kind in CROWNING:
            named[entry.model] = entry.seq
        yield entry
