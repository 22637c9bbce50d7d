"""What a witness is: it is told checkpoints, and may be asked what it has seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from instar.core.errors import BackendError
from instar.ledger.notes import Note

TIMEOUT_S = 5.0
_NAME = re.compile(r"([0-9]{18})-([0-9a-f]{64})\.note")


class WitnessSilent(BackendError):
    """Report a witness that could not be told or asked; it is tried again."""

    code = "backend.witness"
    retryable = True

    def __init__(self, problem: str) -> None:
        super().__init__("a witness that answers", problem, "look after it: instar audit verify")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a witness has seen: a ledger of `size` entries under a Merkle `root`.

    `flaw` says what is wrong with the witness's own copy.
    """

    size: int
    root: bytes
    flaw: str = ""


class Witness(Protocol):
    """Keep checkpoints. Telling the same one twice changes nothing; none is ever overwritten."""

    def tell(self, note: Note) -> None: ...
    def seen(self, origin: str) -> Iterator[Seen] | None:
        """Give what was seen of a ledger, smallest first; None from who cannot be asked."""


def name(note: Note) -> str:
    """Name a checkpoint by what it says, so that two that differ lie beside each other."""
    return f"{note.size:018}-{note.root.hex()}.note"


def named(name: str) -> Seen | None:
    """Read what a checkpoint says from its name; None from a name of another form."""
    found = _NAME.fullmatch(name)
    return None if found is None else Seen(int(found[1]), bytes.fromhex(found[2]))


def place(origin: str) -> str:
    """Name the folder of a ledger's checkpoints."""
    return "".join(c if c.isalnum() or c in ".-_" else "-" for c in origin)
