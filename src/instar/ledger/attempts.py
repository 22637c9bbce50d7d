"""How often a piece of work was begun. What kills its process leaves no other trace."""

from __future__ import annotations

from sqlalchemy import Connection, select

from instar.ledger.protocol import Attempt
from instar.ledger.tables import attempts


def begin(connection: Connection, key: str) -> Attempt:
    """Count one more attempt, before it is made."""
    here = attempts.c.key == key
    columns = (attempts.c["count"], attempts.c.reason)
    seen = connection.execute(select(*columns).where(here)).one_or_none()
    count, reason = seen or (0, "")
    if seen is None:
        connection.execute(attempts.insert().values(key=key, count=1, reason=""))
    else:
        connection.execute(attempts.update().where(here).values(count=count + 1, reason=""))
    return Attempt(count + 1, reason)


def end(connection: Connection, key: str, reason: str, *, counts: bool) -> None:
    """Note how an attempt ended; one that was stopped from outside does not count."""
    less = 0 if counts else 1
    fewer = attempts.c["count"] - less
    mine = attempts.update().where(attempts.c.key == key)
    connection.execute(mine.values(reason=reason[:1000], count=fewer))
