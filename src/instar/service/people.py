"""People behind their pseudonyms: shown by name at the doors, and forgotten when they wish."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from instar.core.errors import InputError
from instar.core.records import PSEUDONYM
from instar.core.update import replay

if TYPE_CHECKING:
    from instar.ledger.journal import Journal

_PSEUDONYM = re.compile(f"{PSEUDONYM}[0-9a-f]{{32}}")


class UnknownPerson(InputError):
    """Refuse to forget somebody whom the ledger does not know."""

    code = "input.unknown_person"

    def __init__(self, name: str) -> None:
        super().__init__("somebody who has acted here", repr(name), "see: instar history")


class StillInvolved(InputError):
    """Refuse to forget somebody while an open update counts on who they are."""

    code = "update.still_involved"

    def __init__(self, update: str) -> None:
        super().__init__(
            "somebody who takes no part in an open update",
            f"one who does, in {update}",
            f"finish it, or withdraw it: instar abort {update}",
        )


def revealed(value: Any, names: Mapping[str, str]) -> Any:
    """Put names in the place of pseudonyms, wherever they stand in a record; forgotten ones stay.

    Example:
        >>> revealed({"by": "person:" + "0" * 32}, {"person:" + "0" * 32: "Ana"})
        {'by': 'Ana'}
    """
    match value:
        case _ if not names:
            return value
        case str():
            return _PSEUDONYM.sub(lambda found: names.get(found[0], found[0]), value)
        case Mapping():
            return {key: revealed(item, names) for key, item in value.items()}
        case tuple() | list():
            return type(value)(revealed(item, names) for item in value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
            return dataclasses.replace(value, **revealed(fields, names))
    return value


def forget(journal: Journal, name: str) -> None:
    """Forget a person: their entries keep a pseudonym that nobody can resolve any more.

    Who asked for, or has voted on, an open update is not forgotten before it ends: they would come
    back as somebody else, who could approve it.

    Raises:
        UnknownPerson: the ledger knows nobody of that name.
        StillInvolved: an update of theirs is open, or waits in the queue.
    """
    from instar.ledger import queue

    def involved(pseudonym: str) -> None:
        for asked in journal.entries(kind="request"):
            update = str(asked.update)
            state = replay(journal.entries(update=update))
            if state.state.open and pseudonym in {state.request.by, *(v.by for v in state.votes)}:
                raise StillInvolved(update)
        for entry in queue.waiting(journal):
            if entry.body["by"] == pseudonym:
                raise StillInvolved(f"the queue, entry {entry.seq}")

    if not journal.forget(name, involved):
        raise UnknownPerson(name)
