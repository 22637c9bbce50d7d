"""Entries as rows of a table, and back."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from instar.core.digest import canonical
from instar.ledger.entry import GENESIS, Entry
from instar.ledger.protocol import AlteredEntry, UnwritableBody, UnwritableText
from instar.ledger.tables import entries

PAGE = 10_000  # rows in memory while the whole journal is walked
_JSON = [list(entries.c.keys()).index(name) for name in ("body", "work")]


def draft(
    kind: str,
    body: Mapping[str, Any],
    update: str | None,
    model: str,
    actor: str,
    key: str | None,
    epoch: int | None,
    work: Mapping[str, Any] | None,
) -> Entry:
    """Make the entry that is to be sealed; its body is what a reader will get back.

    Where no key is given it gets one of its own, so that whoever lost the answer to a commit can
    look whether the entry is there.
    """
    if key is None:
        key = f"once:{secrets.token_hex(16)}"
    for field, given in {
        "update_id": update,
        "model": model,
        "kind": kind,
        "key": key,
        "actor": actor,
    }.items():
        _holdable(field, given)
    try:
        plain, made = json.loads(canonical([body, work]))
    except (TypeError, ValueError) as error:
        raise UnwritableBody(kind, str(error)) from error
    return Entry(0, update, model, kind, key, plain, actor, 0.0, epoch, made, GENESIS, "")


def _holdable(field: str, given: str | None) -> None:
    """Refuse a text that one database would hold and another would not."""
    limit = entries.c[field].type.length  # type: ignore[attr-defined] # the columns are strings
    if given is None:
        return
    if len(given) > limit or "\0" in given or (not given.isascii() and _broken(given)):
        raise UnwritableText(field.removesuffix("_id"), limit, given)


def _broken(given: str) -> bool:
    """Tell whether a text holds half a character, which no file can."""
    return any("\ud800" <= letter <= "\udfff" for letter in given)


def text(body: Mapping[str, Any]) -> str:
    return canonical(body).decode()


def row(made: Entry) -> dict[str, Any]:
    fields = {f.name: getattr(made, f.name) for f in dataclasses.fields(made)}
    work = None if made.work is None else text(made.work)
    return fields | {"update_id": fields.pop("update"), "body": text(made.body), "work": work}


def entry(found: Row[Any]) -> Entry:
    """Read a row, whose columns stand in the order of the entry's fields, unverified."""
    fields = list(found)
    for place in _JSON:
        try:
            fields[place] = json.loads(fields[place]) if fields[place] is not None else None
        except ValueError:
            fields[place] = {"unreadable": fields[place]}  # no seal fits: the audit says where
    return Entry(*fields)


def sound(found: Row[Any]) -> Entry:
    """Read a row; one that is not what was sealed is never returned."""
    made = entry(found)
    if made.seal() != made.hash:
        raise AlteredEntry(made.seq)
    return made


def chosen(update: str | None, model: str | None, kind: str | None) -> Select[Any]:
    asked = {entries.c.update_id: update, entries.c.model: model, entries.c.kind: kind}
    wheres = (column == value for column, value in asked.items() if value is not None)
    return select(entries).where(*wheres).order_by(entries.c.seq)


def walk(connection: Connection) -> Iterator[Entry]:
    """Read the whole journal in order, unverified, a page in memory at a time."""
    query = select(entries).order_by(entries.c.seq)
    for found in connection.execution_options(yield_per=PAGE).execute(query):
        yield entry(found)
