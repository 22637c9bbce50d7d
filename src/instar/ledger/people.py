"""Who is meant by an actor: the only place in the ledger where a name stands.

An entry holds a pseudonym, a salted hash of the name. The salt and the name stand in a table beside
the entries, which no seal covers and no export holds. So a person is forgotten by deleting one row,
and the chain stays whole. Whoever comes back afterwards is somebody new.
"""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import Connection, bindparam, select

from instar.core.errors import InputError
from instar.core.records import PSEUDONYM, person
from instar.ledger.tables import people

_OF_ID = select(people.c.id).where(people.c.id == bindparam("actor"))


class Forgotten(InputError):
    """Refuse what somebody does who was forgotten meanwhile."""

    code = "input.forgotten"

    def __init__(self) -> None:
        super().__init__(
            "somebody whom the ledger knows", "one who was forgotten meanwhile", "run it again"
        )


def pseudonym(connection: Connection, name: str) -> str | None:
    """Find the pseudonym of a person; a name that was typed in another way is the same."""
    query = select(people.c.id).where(people.c.name == person(name))
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def met(connection: Connection, name: str) -> str:
    """Give a person's pseudonym, a new one to whom the ledger has not met."""
    known = pseudonym(connection, name)
    if known is not None:
        return known
    salt = secrets.token_hex(32)
    seal = hashlib.sha256(f"{salt}\n{person(name)}".encode()).hexdigest()
    made = f"{PSEUDONYM}{seal[:32]}"
    said = " ".join(name.split())
    connection.execute(people.insert().values(id=made, name=person(name), said=said, salt=salt))
    return made


def known(connection: Connection, actor: str) -> bool:
    """Tell whether an actor is no person, or one whom the ledger knows."""
    if not actor.startswith(PSEUDONYM):
        return True
    return connection.execute(_OF_ID, {"actor": actor}).one_or_none() is not None


def names(connection: Connection) -> dict[str, str]:
    """List who is who: names as they were typed, by pseudonym."""
    return {row.id: row.said for row in connection.execute(select(people.c.id, people.c.said))}


def forget(connection: Connection, pseudonym: str) -> None:
    """Delete what ties a pseudonym to a name."""
    connection.execute(people.delete().where(people.c.id == pseudonym))
