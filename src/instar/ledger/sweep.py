"""Keeping a store clean: `scrub` sees that all is right, `collect` removes what nobody needs.

A collection keeps

* what the champion of each model needs, the version that a rollback would put back, the last
  `keep` versions that were promoted or adopted, and whatever is held for the way back; with each
  of them everything that the update behind it left, so that it can be explained and made again;
* what an open update has left so far, and what is younger than the last record of one that runs;
* what an update in the queue waits with;
* what any entry names and is smaller than `SMALL`: policies, reports, cards are the evidence;
* what is young: its writer may not have recorded it yet.

The rest goes: data, weights and bundles of updates that ended without a champion, and of versions
from long ago, and what no entry names. Entries are never touched.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from instar.core.crash import crashpoint
from instar.core.digest import is_digest, short
from instar.core.errors import IntegrityError
from instar.core.tools import Artifacts, Progress
from instar.core.update import State, replay
from instar.ledger import queue
from instar.ledger.artifacts import MissingArtifact, Stored
from instar.ledger.journal import Entry, Journal

GRACE_S = 3600.0
SMALL = 1 << 20
_PAGE = 1000  # entries in memory at a time

# The fields of records that name an artifact, and what stands beside `digest` where it does. Other
# fields hold digests of records, of source files, of single tensors: what they name is kept if it
# is there, and need not be there.
_FIELDS = frozenset(("manifest", "policy", "quarantine", "replay_logits", "weights"))
_BESIDE = frozenset(("rows", "size"))


class Store(Artifacts, Protocol):
    """An artifact store that can be swept: each method speaks of what this store itself holds.

    `copies` are the other places that hold copies of what it holds.
    """

    @property
    def copies(self) -> Sequence[Store]: ...
    def digests(self) -> Iterator[str]: ...
    def look(self, digest: str) -> Stored | None: ...
    def whole(self, digest: str) -> bool: ...
    def remove(self, digest: str, before: float = math.inf) -> bool: ...
    def quarantine(self, digest: str) -> bool: ...
    def leftovers(self, before: float) -> int: ...
    def tidy(self, before: float) -> int: ...


@dataclass(frozen=True, slots=True)
class Marked:
    """What a ledger names: `needed` must be there, `kept` may not be removed if it is.

    `evidence` may not be removed if it is small. `since` is when a running update made its last
    record: what was put later may be of its next one (seconds since the epoch; infinite if none
    runs).
    """

    needed: frozenset[str]
    kept: frozenset[str]
    evidence: frozenset[str]
    since: float = math.inf


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What a scrub looked at (`size` in bytes), and what it found.

    `repaired` were damaged or missing, and are right again from another copy. `quarantined` were
    damaged everywhere and lie aside now. `missing` are needed and nowhere. `leftovers` counts
    writes that were begun and never ended.
    """

    artifacts: int
    size: int
    repaired: tuple[str, ...]
    quarantined: tuple[str, ...]
    missing: tuple[str, ...]
    leftovers: int

    @property
    def sound(self) -> bool:
        return not (self.missing or self.quarantined)


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed, or with `dry` would remove; `freed` in bytes."""

    artifacts: int
    removed: tuple[str, ...]
    freed: int
    leftovers: int
    dry: bool


def mark(
    journal: Journal,
    store: Store,
    keep: int,
    boot: tuple[str, float],
    also: Iterable[str] = (),
) -> Marked:
    """Find what a ledger names.

    Args:
        journal: The entries of all model lines.
        store: Where manifests and the like are read, to find what they name in turn.
        keep: Versions of each model line that stay, newest first; at least 1.
        boot: Which start of the machine this is, and the seconds since: holds count by it.
        also: Digests of artifacts that are needed besides, as those of the route in force.
    Raises:
        IntegrityError: an entry, or an artifact that may name others, is damaged: nobody knows
            what is needed then.
    """
    # Open updates first: one that is promoted meanwhile is seen here, or as a champion below.
    opened, since = _opened(journal)
    roots = [*opened, *queue.waiting(journal), *_versions(journal, keep, boot)]
    there = frozenset(store.digests())
    needed = {digest for entry in roots for digest in _named(entry.body)}
    kept = {digest for entry in roots for digest in _digests([entry.body, entry.work])}
    evidence = {d for entry in _every(journal) for d in _digests([entry.body, entry.work])}
    return Marked(
        needed=_closure(needed.union(also), store, there, _named),
        kept=_closure(kept.union(also), store, there, _digests),
        evidence=_closure(evidence, store, there, _digests),
        since=since,
    )


def _opened(journal: Journal) -> tuple[list[Entry], float]:
    """List the entries of open updates, and tell since when a stage of one may be at work."""
    found: list[Entry] = []
    since = math.inf
    for asked in journal.entries(kind="request"):
        entries = journal.entries(update=asked.update, model=asked.model)
        try:
            state = replay(entries).state
        except IntegrityError:  # of another version of Instar: it is not ours to call it ended
            state = State.RUNNING
        if state.open:
            found += entries
        if state in (State.RUNNING, State.RELEASING):
            since = min(since, entries[-1].at)
    return found, since


def _versions(journal: Journal, keep: int, boot: tuple[str, float]) -> Iterator[Entry]:
    """List the entries of versions that stay, and of the updates that brought them."""
    for model in sorted({entry.model for entry in journal.entries(kind="adoption")}):
        made = journal.entries(model=model, kind="adoption")
        made += journal.entries(model=model, kind="promotion")
        made.sort(key=lambda entry: entry.seq)
        stay = [*made[-keep:], *journal.held(boot, model)]
        if champion := journal.champion(model):
            before = champion.body.get("parent")
            stay += [champion, *(entry for entry in made if entry.body.get("name") == before)]
        yield from stay
        for update in {entry.body.get("update") for entry in stay} - {None}:
            yield from journal.entries(update=update, model=model)


def _every(journal: Journal) -> Iterator[Entry]:
    last = 0
    while page := journal.entries(after=last, limit=_PAGE):
        yield from page
        last = page[-1].seq


def _digests(value: Any) -> Iterator[str]:
    """Find every digest in a JSON value.

    Example:
        >>> len(list(_digests({"a": ["sha256:" + "0" * 64, "b"], "c": None})))
        1
    """
    if isinstance(value, str):
        if is_digest(value):
            yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _digests(part)
    elif isinstance(value, list):
        for part in value:
            yield from _digests(part)


def _named(value: Any) -> Iterator[str]:
    """Find the digests in a JSON value that name artifacts for certain."""
    if isinstance(value, dict):
        fields = _FIELDS | ({"digest"} if value.keys() & _BESIDE else set())
        for name, part in value.items():
            if name in fields and isinstance(part, str) and is_digest(part):
                yield part
            yield from _named(part)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part)


def _closure(
    start: Iterable[str],
    store: Store,
    there: frozenset[str],
    walk: Callable[[Any], Iterator[str]],
) -> frozenset[str]:
    """Add what the artifacts name that are JSON themselves, and what those name, to the end."""
    seen: set[str] = set()
    todo = list(start)
    while todo:
        digest = todo.pop()
        if digest not in seen:
            seen.add(digest)
            todo += walk(_json(store, digest) if digest in there else None)
    return frozenset(seen)


def _json(store: Store, digest: str) -> Any:
    found = store.look(digest)
    if found is None or found.size >= SMALL:
        return None
    try:
        return json.loads(store.read(digest))
    except (ValueError, MissingArtifact, RecursionError):
        return None


def scrub(
    journal: Journal,
    store: Store,
    *,
    keep: int,
    boot: tuple[str, float],
    also: Iterable[str],
    now: float,
    tell: Progress,
) -> Scrubbed:
    """Hash everything that is there, mend what can be mended, and look for what is missing.

    Args:
        journal: The entries of all model lines.
        store: What is looked through, with its copies; each mends the others.
        keep: Versions of each model line that stay, newest first; at least 1.
        boot: Which start of the machine this is, and the seconds since: holds count by it.
        also: Digests of artifacts that are needed besides.
        now: Seconds since the epoch.
        tell: Told how far the work is, in artifacts.
    """
    stores = (store, *store.copies)
    names = sorted({digest for store in stores for digest in store.digests()})
    size = 0
    repaired: list[str] = []
    aside: list[str] = []
    for done, digest in enumerate(names):
        tell("scrub", done, len(names), short(digest))
        found = [(place, seen.size) for place in stores if (seen := place.look(digest))]
        size += max((bytes_ for _, bytes_ in found), default=0)
        whole = [place for place, _ in found if _whole(place, digest)]
        broken = [place for place, _ in found if place not in whole]
        if whole:
            for place in broken:
                place.put_file(whole[0].path(digest))
                repaired.append(digest)
        elif [place for place in broken if place.quarantine(digest)]:
            aside.append(digest)
    tell("scrub", len(names), len(names))
    marked = mark(journal, store, keep, boot, also)
    wanted = marked.needed | marked.kept | marked.evidence
    there = frozenset(store.digests())
    for copy in store.copies:
        for digest in sorted(wanted.intersection(copy.digests()) - there):
            store.put_file(copy.path(digest))
            repaired.append(digest)
    return Scrubbed(
        artifacts=len(names),
        size=size,
        repaired=tuple(dict.fromkeys(repaired)),
        quarantined=tuple(aside),
        missing=tuple(sorted(marked.needed - there - set(repaired))),
        leftovers=sum(place.leftovers(now - GRACE_S) for place in stores),
    )


def _whole(place: Store, digest: str) -> bool:
    try:
        return place.whole(digest)
    except MissingArtifact:  # removed meanwhile
        return False


def collect(
    journal: Journal,
    store: Store,
    *,
    keep: int,
    boot: tuple[str, float],
    also: Iterable[str],
    now: float,
    tell: Progress,
    grace_s: float = GRACE_S,
    dry: bool = False,
) -> Collected:
    """Remove what nobody needs; killed at any moment, it has removed nothing else.

    Args:
        journal: The entries of all model lines.
        store: What is looked through, with its copies.
        keep: Versions of each model line that stay, newest first; at least 1.
        boot: Which start of the machine this is, and the seconds since: holds count by it.
        also: Digests of artifacts that are needed besides.
        now: Seconds since the epoch.
        tell: Told how far the work is, in artifacts.
        grace_s: Seconds for which nothing that was put is removed.
        dry: Only tell what would be removed.
    Raises:
        IntegrityError: something that may name others is damaged; nothing is removed then.
    """
    stores = (store, *store.copies)
    marked = mark(journal, store, keep, boot, also)
    before = min(now - grace_s, marked.since)
    work = [(place, digest) for place in stores for digest in sorted(place.digests())]
    removed: dict[str, int] = {}
    for done, (place, digest) in enumerate(work):
        tell("collect", done, len(work), short(digest))
        found = place.look(digest)
        small = found is not None and found.size < SMALL and digest in marked.evidence
        if found is None or small or digest in marked.kept or digest in marked.needed:
            continue
        if found.at < before if dry else place.remove(digest, before):
            removed[digest] = removed.get(digest, 0) + found.size
    tell("collect", len(work), len(work))
    crashpoint("sweep.tidy")
    old = now - grace_s
    return Collected(
        artifacts=len({digest for _, digest in work}),
        removed=tuple(removed),
        freed=sum(removed.values()),
        leftovers=sum(place.leftovers(old) if dry else place.tidy(old) for place in stores),
        dry=dry,
    )
