"""What must hold in a workspace after whatever happened to it, seen from outside.

Only public surfaces are read: commands with `--json`, the gateway over HTTP, and the files of
the artifact store as docs/ledger.md lays them out.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.faults.journey import House

OPEN = ("running", "waiting", "releasing")
ENDS = ("refused", "kept", "rejected", "failed", "withdrawn", "promoted", "rolled back")
# Fields that name an artifact; `digest` does where it stands beside a size or a number of rows.
NAMES = frozenset(("weights", "manifest", "quarantine", "replay_logits"))
BESIDE = frozenset(("rows", "size"))


def broken(house: House, *, served: bool = True) -> list[str]:
    """List what does not hold; `served` tidies the store and starts a gateway, which takes long."""
    entries = house.history()
    status = house.reads("status")[1]
    found = [
        *_ledger(house),
        *_once(entries),
        *_epochs(entries),
        *_updates(status),
        *_votes(entries),
        *_artifacts(house, entries),
        *_champion(status, entries),
    ]
    return [*found, *_leftovers(house), *_served(house, status)] if served else found


def _ledger(house: House) -> Iterator[str]:
    code, found = house.reads("audit", "verify")
    if code or found["problems"]:
        yield f"the ledger does not verify: {found['problems']}"


def _once(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    promoted = [e["update"] for e in entries if e["kind"] == "promotion"]
    for update in set(promoted):
        if promoted.count(update) > 1:
            yield f"{update} was promoted {promoted.count(update)} times"
    keys = [e["key"] for e in entries if e["key"]]
    if len(keys) != len(set(keys)):
        yield "two entries record one piece of work"
    for update, kind in itertools.product(
        {e["update"] for e in entries}, ("request", "training", "bundle", "validation")
    ):
        if sum((e["update"], e["kind"]) == (update, kind) for e in entries) > 1:
            yield f"{update} has two entries of {kind}"


def _epochs(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    seen = [e["epoch"] for e in entries if e["epoch"] is not None]
    if seen != sorted(seen):
        yield f"an epoch fell: {seen}"


def _updates(status: Mapping[str, Any]) -> Iterator[str]:
    for row in status["updates"]:
        if row["state"] not in OPEN + ENDS:
            yield f"{row['update']} is {row['state']}"
        if row["state"] in OPEN and not row["next"]:
            yield f"{row['update']} is {row['state']} and nobody says what comes next"
        if row["state"] == "failed" and not row["message"]:
            yield f"{row['update']} failed and does not say why"


def _votes(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A vote counts where it was cast, and one person counts once."""
    for entry in entries:
        if entry["kind"] == "approval" and entry["body"]["verdict"] == "pass":
            cast = [e["body"] for e in entries if e["kind"] == "vote" and _same(e, entry)]
            if any(vote not in cast for vote in entry["body"]["votes"]):
                yield f"{entry['update']} was approved by a vote on something else"
    approved = [e for e in entries if e["kind"] == "approval" and e["body"]["verdict"] == "pass"]
    bundles = {(e["update"], e["body"]["bundle"]) for e in approved}
    if len(bundles) != len({update for update, _ in bundles}):
        yield "one update was approved for two bundles"


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["update"] == other["update"] and one["seq"] < other["seq"])


def named(body: Any) -> Iterator[str]:
    """Find the digests by which a record names artifacts, wherever they stand."""
    if isinstance(body, Mapping):
        names = NAMES | ({"digest"} if body.keys() & BESIDE else set())
        for key, value in body.items():
            if key in names and isinstance(value, str) and value.startswith("sha256:"):
                yield value
            else:
                yield from named(value)
    elif isinstance(body, Sequence) and not isinstance(body, str):
        for item in body:
            yield from named(item)


def _artifacts(house: House, entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    root = house.folder / ".instar" / "artifacts"
    whole = set()
    for file in root.glob("*/*/*"):
        if not file.name.startswith("."):
            if hashlib.sha256(file.read_bytes()).hexdigest() != file.name:
                yield f"an artifact is not what its name says: {file.name[:12]}"
            whole.add(file.name)
    for entry in entries:
        policy = {"manifest": entry["body"]["policy"]} if entry["kind"] == "request" else {}
        for digest in named([entry["body"], policy]):
            if digest.removeprefix("sha256:") not in whole:
                yield f"entry {entry['seq']} ({entry['kind']}) names what is not there: {digest}"


def _leftovers(house: House) -> Iterator[str]:
    """Nothing half-written stays once the store was tidied, an hour later."""
    store = house.folder / ".instar" / "artifacts"
    for file in store.rglob(".new-*"):
        hours_ago = time.time() - 7200
        os.utime(file, (hours_ago, hours_ago))
    if "store" not in house.commands():
        return
    code, said = house.types("store", "collect")
    if code:
        yield f"a collection ends with {code}: {said}"
    for file in store.rglob(".new-*"):
        yield f"left behind: {file.relative_to(house.folder)}"


def _champion(status: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    champion = status["champion"]
    crowned = [e for e in entries if e["kind"] in ("adoption", "promotion", "rollback")]
    if champion != (crowned[-1]["body"]["name"] if crowned else None):
        yield f"the champion is {champion}, and the entries do not say so"


def _served(house: House, status: Mapping[str, Any]) -> Iterator[str]:
    champion = status["champion"]
    if champion is None or any(row["state"] == "releasing" for row in status["updates"]):
        return
    with house.serving() as gateway:
        if not gateway.url:
            yield "the gateway does not start"
            return
        says = gateway.get("/api/v1/status")
        answer = gateway.ask("check")
        if answer["model_version"] != champion:
            yield f"{answer['model_version']} answers, and {champion} is the champion"
        if says["refused"]:
            yield f"the gateway refuses the route: {says['refused']}"
