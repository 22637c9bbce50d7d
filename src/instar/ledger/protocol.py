"""What a journal is, whichever database keeps it, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from instar.core.errors import InputError, IntegrityError
from instar.ledger.entry import Entry, Problem

# The kinds of entry that name a champion. The pointer is always the last of them, so it can be
# rebuilt from the entries.
CROWNING = ("adoption", "promotion", "rollback")


class StaleChampion(InputError):
    """Refuse to replace a champion that is no longer the one the update was held against."""

    code = "input.stale_champion"

    def __init__(self, model: str, expect: int | None, got: int | None) -> None:
        super().__init__(
            f"entry {expect} as the champion of {model!r}" if expect else f"{model!r} unadopted",
            f"entry {got}" if got else "no champion",
            "ask for a new update against today's champion",
        )


class UnwritableBody(InputError):
    """Refuse a body that has no canonical JSON form."""

    code = "input.unwritable_body"

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(f"a {kind} that can be written as JSON", problem, "mend the values")


class UnwritableText(InputError):
    """Refuse a name or key that not every database can hold."""

    code = "input.unwritable_text"

    def __init__(self, field: str, limit: int, text: str) -> None:
        super().__init__(
            f"at most {limit} characters of text as the {field} of an entry",
            f"{len(text)}, {text[:40]!a}",
            "choose another",
        )


class WrongKind(InputError):
    """Keep entries that name a champion and those that do not apart."""

    code = "input.wrong_kind"

    def __init__(self, kind: str, method: str) -> None:
        super().__init__(f"a kind of entry for `{method}`", repr(kind), "use the other one")


class Overruled(InputError):
    """Refuse what an entry of the same update forbids: both cannot hold."""

    code = "input.overruled"

    def __init__(self, kind: str, entry: Entry) -> None:
        super().__init__(
            f"an update that can still be {kind}",
            f"its {entry.kind}, entry {entry.seq}",
            "see where it stands: instar status",
        )


class TakenKey(IntegrityError):
    """Refuse to adopt an entry that was made for other work."""

    code = "integrity.taken_key"

    def __init__(self, key: str, entry: Entry) -> None:
        super().__init__(
            "a key for this work alone",
            f"{key[:80]!r}, which is entry {entry.seq} ({entry.kind})",
            "tell the authors of Instar",
        )


class AlteredEntry(IntegrityError):
    """Report an entry that is not what was sealed."""

    code = "integrity.altered_entry"

    def __init__(self, seq: int) -> None:
        super().__init__(
            f"entry {seq} as it was sealed",
            "other content",
            "run `instar audit verify` and restore the ledger from a backup",
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which attempt at a piece of work this is, counted from 1, and how the one before ended.

    `before` is empty where it ended without a word, as a process does that is killed.
    """

    number: int
    before: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep a version for `seconds`, from the moment `since` of the machine's start `boot` on."""

    seconds: float
    boot: str
    since: float


class UnknownEntry(InputError):
    """Refuse the number of an entry that no checkpoint covers."""

    code = "input.unknown_entry"

    def __init__(self, seq: int, size: int) -> None:
        super().__init__(f"an entry from 1 to {size}", str(seq), "see: instar history")


class Journal(Protocol):
    """Entries in one order, one champion a model, one writer a model."""

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
    ) -> Entry: ...
    def entries(
        self,
        *,
        update: str | None = None,
        model: str | None = None,
        kind: str | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> list[Entry]: ...
    def last(
        self, kind: str, *, update: str | None = None, model: str | None = None
    ) -> Entry | None: ...
    def by_key(self, key: str) -> Entry | None: ...
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
    ) -> Entry: ...
    def champion(self, model: str) -> Entry | None: ...
    def undelivered(self) -> list[Entry]: ...
    def delivered(self, seq: int) -> None: ...
    def held(self, boot: tuple[str, float], model: str | None = None) -> list[Entry]: ...
    def attempt(self, key: str, *, model: str, epoch: int | None) -> Attempt: ...
    def attempted(
        self, key: str, reason: str, *, model: str, epoch: int | None, counts: bool = True
    ) -> None: ...
    def acquire(
        self, model: str, holder: str, ttl_s: float, now: float, instead_of: str | None = None
    ) -> int: ...
    def renew(self, model: str, holder: str, epoch: int, ttl_s: float, now: float) -> None: ...
    def release(self, model: str, holder: str, epoch: int) -> None: ...
    def holder(self, model: str, now: float) -> str | None: ...
    def epoch(self, model: str) -> int: ...
    def person(self, name: str) -> str: ...
    def people(self) -> dict[str, str]: ...
    def forget(self, name: str, may: Callable[[str], None]) -> bool: ...
    def count(self) -> int: ...
    def checkpoint(self) -> None: ...
    def refuse_older(self) -> None: ...
    def verify(self, marks: Iterable[Any] = (), *, deep: bool = False) -> list[Problem]: ...
    def export(self, path: Path, notes: Path | None = None) -> int: ...
    def prove(self, seq: int) -> dict[str, Any]: ...
    def close(self) -> None: ...
