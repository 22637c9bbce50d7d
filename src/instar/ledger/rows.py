"""Entries as rows of a table, and back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from json.encoder import encode_basestring as quoted
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from instar.core.digest import PREFIX, canonical
from instar.ledger.entry import GENESIS, Entry
from instar.ledger.protocol import AlteredEntry, UnwritableBody, UnwritableText
from instar.ledger.tables import entries

PAGE = 1_000  # rows in memory while the whole journal is walked
_JSON = [list(entries.c.keys()).index(name) for name in ("body", "work")]
_AFTER_BODY = b',"epoch":'
_WORK = '"work":'


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
        holdable(field, given)
    try:
        plain, made = json.loads(canonical([body, work]))
    except (TypeError, ValueError, RecursionError) as error:
        raise UnwritableBody(kind, str(error)) from error
    return Entry(0, update, model, kind, key, plain, actor, 0.0, epoch, made, GENESIS, "")


def holdable(field: str, given: str | None) -> None:
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
        except (ValueError, RecursionError):
            fields[place] = {"unreadable": fields[place]}  # no seal fits: the audit says where
    return Entry(*fields)


def sound(found: Row[Any]) -> Entry:
    """Read a row; one that is not what was sealed, to the byte, is never returned."""
    made = entry(found)
    if seal(found) != made.hash or not canonical_texts(found):
        raise AlteredEntry(made.seq)
    return made


def seal(found: Sequence[Any]) -> str:
    """Compute the seal of a row from the bytes that stand there, without reading its JSON.

    Where that could be ambiguous, the JSON is read after all. A row that cannot have been sealed
    gets a seal that fits none.
    """
    try:
        sealed = _written(found, "").encode()
    except (TypeError, UnicodeEncodeError):
        return ""
    if sealed.count(_AFTER_BODY) > 1 and not canonical_texts(found):
        return ""
    return PREFIX + hashlib.sha256(sealed).hexdigest()


def canonical_texts(found: Sequence[Any]) -> bool:
    """Tell whether body and work of a row are canonical JSON, as we write it."""
    try:
        return all(
            canonical(json.loads(found[place])) == found[place].encode()
            for place in _JSON
            if found[place] is not None
        )
    except (ValueError, RecursionError):
        return False


def line(found: Sequence[Any]) -> bytes:
    """Write a row as a line of an export: the canonical JSON of the entry with its hash.

    Raises:
        AlteredEntry: the row cannot have been sealed.
    """
    try:
        sealed = f',"hash":{quoted(found[11])}'
        return f"{_written(found, sealed)}\n".encode()
    except (TypeError, UnicodeEncodeError) as error:
        raise AlteredEntry(int(found[0])) from error


def _written(found: Sequence[Any], sealed: str) -> str:
    """Write a row as the canonical JSON of its entry, with `sealed` in the place of its hash.

    The stored texts of body and work are taken as they are: to read a million of them and to write
    them anew would take a minute. So whatever is no text of JSON here must have its type.
    """
    seq, update, model, kind, key, body, actor, at, epoch, work, prev, _ = found
    if not (
        type(seq) is int
        and type(body) is str
        and type(at) is float
        and (epoch is None or type(epoch) is int)
        and (work is None or type(work) is str)
    ):
        raise TypeError(seq)
    return (
        f'{{"actor":{quoted(actor)},"at":{at!r},"body":{body},'
        f'"epoch":{"null" if epoch is None else epoch}{sealed},'
        f'"key":{"null" if key is None else quoted(key)},"kind":{quoted(kind)},'
        f'"model":{quoted(model)},"prev":{quoted(prev)},"seq":{seq},'
        f'"update":{"null" if update is None else quoted(update)}'
        f"{'' if work is None else f',{_WORK}{work}'}}}"
    )


def chosen(update: str | None, model: str | None, kind: str | None) -> Select[Any]:
    asked = {entries.c.update_id: update, entries.c.model: model, entries.c.kind: kind}
    wheres = (column == value for column, value in asked.items() if value is not None)
    return select(entries).where(*wheres).order_by(entries.c.seq)


def walk(connection: Connection, after: int = 0) -> Iterator[Sequence[Any]]:
    """Read the journal in order, as its rows stand there, a page in memory at a time."""
    query = select(entries).where(entries.c.seq > after).order_by(entries.c.seq)
    return iter(connection.execute(query.execution_options(yield_per=PAGE)))
