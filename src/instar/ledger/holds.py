"""Versions that are kept for the way back, for a time that no change of the date shortens.

A hold counts from the start of the machine, sleep included. After a restart of the machine nobody
knows how long it was off: the hold begins again in full.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from instar.ledger.entry import Entry
from instar.ledger.protocol import Hold
from instar.ledger.rows import sound
from instar.ledger.tables import entries, holds


def place(connection: Connection, model: str, seq: int, hold: Hold, at: float) -> None:
    """Hold the version of a champion's entry; one that is held already is held anew."""
    here = (holds.c.model == model) & (holds.c.version_seq == seq)
    connection.execute(holds.delete().where(here))
    connection.execute(
        holds.insert().values(
            model=model,
            version_seq=seq,
            seconds=hold.seconds,
            boot=hold.boot,
            since=hold.since,
            at=at,
        )
    )


def foreign(connection: Connection, boot: str) -> bool:
    """Tell whether a hold counts from another start of the machine."""
    query = select(holds.c.version_seq).where(holds.c.boot != boot).limit(1)
    return connection.execute(query).one_or_none() is not None


def begin_again(connection: Connection, boot: str, now: float) -> None:
    """Let the holds from before the machine's start count from now on, in full."""
    connection.execute(holds.update().where(holds.c.boot != boot).values(boot=boot, since=now))


def held(connection: Connection, boot: str, now: float, model: str | None) -> list[Entry]:
    """List the champions' entries whose versions are held at this moment."""
    query = select(entries).join(holds, holds.c.version_seq == entries.c.seq)
    query = query.where(holds.c.boot == boot, now - holds.c.since < holds.c.seconds)
    if model is not None:
        query = query.where(holds.c.model == model)
    return [sound(row) for row in connection.execute(query.order_by(entries.c.seq))]
