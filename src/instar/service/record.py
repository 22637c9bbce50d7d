"""Ask the record: what an entry says, why a version is live, what was champion on a day."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from instar.core.codec import decode, encode
from instar.core.digest import digest_json, short
from instar.core.errors import InputError
from instar.core.records import Approval, ModelVersion, Order, Plan, Request, Training, Validation
from instar.core.update import KINDS, replay
from instar.service import sentences
from instar.service.dates import in_order, moment, written

if TYPE_CHECKING:
    from instar.ledger.journal import Entry, Journal

CROWNING = ("adoption", "promotion", "rollback")
_NUMBER = re.compile(r"[0-9]{1,18}")
_BACK = re.compile(r"champion(?:~([0-9]{1,6}))?")


class NothingNamed(InputError):
    """Refuse a word that names nothing in the ledger."""

    code = "input.nothing_named"

    def __init__(self, what: str) -> None:
        super().__init__(
            "the number of an entry, an update, a version, `champion` or `champion~1`",
            repr(what[:80]),
            "see: instar history",
        )


class UnknownKind(InputError):
    """Refuse a kind of entry that the line's ledger does not hold."""

    code = "input.unknown_kind"

    def __init__(self, kind: str, known: Sequence[str]) -> None:
        super().__init__(
            f"a kind out of {', '.join(known) or 'none'}", repr(kind[:80]), "name one of these"
        )


def select(
    entries: Sequence[Entry],
    *,
    update: str | None = None,
    kind: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> list[Entry]:
    """Choose entries by what they are about and when they were written, first and last day in.

    Raises:
        BadDate: `since` or `until` is no date.
        UnknownKind: no entry is of this kind.
    """
    kinds = sorted({entry.kind for entry in entries})
    if kind is not None and kind not in kinds:
        raise UnknownKind(kind, kinds)
    low = moment(since) if since else float("-inf")
    high = moment(until, end=True) if until else float("inf")
    dates = in_order([entry.at for entry in entries])
    return [
        entry
        for entry, at in zip(entries, dates, strict=True)
        if low <= at < high
        and (update is None or entry.update == update)
        and (kind is None or entry.kind == kind)
    ]


def on(entries: Sequence[Entry], day: str) -> dict[str, Any]:
    """Say which version was champion at the end of a day, in UTC.

    The order of the entries counts, not their dates: one that contradicts it is not believed.

    Raises:
        BadDate: the text is no date.
    """
    end = moment(day, end=True)
    dates = in_order([entry.at for entry in entries])
    then = [entry for entry, at in zip(entries, dates, strict=True) if at < end]
    crowned = [entry for entry in then if entry.kind in CROWNING]
    found = crowned[-1] if crowned else None
    return {
        "day": day,
        "champion": found.body["name"] if found else None,
        "entry": found.seq if found else None,
        "kind": found.kind if found else None,
        "since": found.at if found else None,
        "by": found.actor if found else None,
        "update": found.update if found else None,
    }


def champions(journal: Journal, model: str) -> list[Entry]:
    """List the entries that named a champion, in order."""
    found = [entry for kind in CROWNING for entry in journal.entries(model=model, kind=kind)]
    return sorted(found, key=lambda entry: entry.seq)


def named(journal: Journal, model: str, word: str) -> Entry:
    """Find the entry that made a version: by its name, `champion`, or `champion~1` before it.

    Raises:
        NothingNamed: there is no such version.
    """
    name = word
    if back := _BACK.fullmatch(word):
        line = [str(entry.body["name"]) for entry in champions(journal, model)]
        places = [i for i, one in enumerate(line) if i == 0 or line[i - 1] != one]
        steps = int(back[1] or 0)
        if steps >= len(places):
            raise NothingNamed(word)
        name = line[places[-1 - steps]]
    for entry in champions(journal, model):
        if entry.body["name"] == name:
            return entry
    raise NothingNamed(word)


def show(journal: Journal, model: str, word: str) -> dict[str, Any]:
    """Say everything that an entry, an update or a version has to say.

    Raises:
        NothingNamed: the word names nothing.
    """
    if _NUMBER.fullmatch(word):
        found = journal.entries(model=model, after=int(word) - 1, limit=1)
        if not found or found[0].seq != int(word):
            raise NothingNamed(word)
        return {"entry": about(found[0], _holders(journal, found[0]))}
    if own := journal.entries(model=model, update=word):
        holders = _holders(journal, own[0])
        return {
            "update": word,
            "state": replay(own).state.value,
            "entries": [about(entry, holders) for entry in own],
        }
    return {"version": _version(journal, model, word)}


def about(entry: Entry, holders: Mapping[str, int]) -> dict[str, Any]:
    """Say what one entry holds: in words, with the entries that its inputs are.

    Args:
        holders: The numbers of entries by the digests of their bodies.
    """
    made = entry.work or {}
    given = made.get("inputs", {})
    return {
        **{name: getattr(entry, name) for name in ("seq", "kind", "update", "model", "at")},
        "by": entry.actor,
        "owner": made.get("owner"),
        "stage": made.get("stage"),
        "epoch": entry.epoch,
        "verdict": entry.body.get("verdict"),
        "inputs": [
            {"name": name, "digest": digest, "entry": holders.get(digest)}
            for name, digest in given.items()
        ],
        "output": made.get("output"),
        "policy": made.get("policy"),
        "code": made.get("code"),
        "says": sentences.sentences(entry.kind, entry.body),
        "findings": list(entry.body.get("findings", ())),
        "prev": entry.prev,
        "hash": entry.hash,
        "body": entry.body,
    }


def _holders(journal: Journal, entry: Entry) -> dict[str, int]:
    """Find the first entry of each digest among those that an entry can have as its inputs."""
    own = journal.entries(update=entry.update) if entry.update else []
    pool = sorted([*champions(journal, entry.model), *own], key=lambda one: -one.seq)
    return {digest_json(one.body): one.seq for one in pool}


def _version(journal: Journal, model: str, word: str) -> dict[str, Any]:
    made, now = named(journal, model, word), journal.champion(model)
    version = decode(ModelVersion, made.body)
    own = journal.entries(model=model, update=made.update) if made.update else []
    request = next((entry.body for entry in own if entry.kind == "request"), None)
    notes = journal.entries(model=model, kind="note", after=now.seq, limit=1) if now else []
    why = [*_standing(version.name, now, [*own, *notes]), *_why(version, made, own)]
    return {
        "name": version.name,
        "live": now is not None and now.body["name"] == version.name,
        "entry": made.seq,
        "update": made.update,
        "parent": version.parent,
        "weights": version.weights,
        "bundle": version.bundle.manifest,
        "metrics": dict(version.metrics),
        "data": [{"source": s.source, "rows": s.rows, "digest": s.digest} for s in version.train],
        "policy": request["policy"] if request else (made.work or {}).get("policy"),
        "why": [{"entry": seq, "text": text} for seq, text in why],
    }


Step = tuple[int, str]


def _standing(name: str, now: Entry | None, notes: Sequence[Entry]) -> Iterator[Step]:
    """Say what is different from having been promoted and never touched since."""
    if now is None or now.body["name"] != name:
        who = f"{now.body['name']} is, since {written(now.at)}" if now else "nothing is"
        yield now.seq if now else 0, f"it is not live: {who}"
    elif now.kind == "rollback":
        yield now.seq, f"{name} was put back by {now.actor}, {written(now.at)}"
    for entry in notes:
        if entry.kind == "note" and name in (entry.body.get("from"), entry.body.get("to")):
            yield entry.seq, f"{entry.actor}: {entry.body['reason']}"


def _why(version: ModelVersion, made: Entry, own: Sequence[Entry]) -> Iterator[Step]:
    """Go back from a version to the reason: who wanted it, who let it pass, on what grounds."""
    if made.kind == "adoption":
        yield made.seq, f"{version.name} was taken over by {made.actor}, {written(made.at)}"
        for part in version.train:
            yield made.seq, f"it had learnt from {sentences.data(part)}"
        return
    yield made.seq, f"{version.name} was promoted by {made.actor}, {written(made.at)}"
    for entry in own:
        if entry.kind in KINDS and entry.kind != "watch":
            record: Any = decode(KINDS[entry.kind], entry.body)
            yield from ((entry.seq, text) for text in _grounds(record))


def _grounds(record: Any) -> Iterator[str]:
    match record:
        case Request():
            yield f"{record.update} was asked for by {record.by}: {record.reason}"
            yield f"with the fresh data {sentences.data(record.fresh)}"
            yield f"under the policy {short(record.policy)}, against {record.champion}"
        case Plan():
            yield f"planned as {record.strategy}: {record.reason}"
        case Training():
            yield f"trained for {len(record.history)} epochs; {sentences.judged(record.findings)}"
        case Validation():
            yield f"validated: {sentences.judged(record.findings)}"
            yield f"champion -> candidate: {sentences.metrics(record.champion, record.candidate)}"
        case Approval() if not record.waiting_for:
            yield from (sentences.vote(vote) for vote in record.votes)
        case Order():
            yield from sentences.sentences("order", encode(record))
        case _ if hasattr(record, "phase"):
            yield f"released: {record.phase.value}, {record.reason}"
