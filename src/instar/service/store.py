"""Keeping the workspace's artifacts clean, and saying in the ledger what was done to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from instar.core.clock import SystemClock
from instar.core.codec import encode
from instar.core.digest import short
from instar.service.child import Tell

if TYPE_CHECKING:
    from instar.core.tools import Progress
    from instar.service import Workspace

_LISTED = 100  # artifacts that an entry names


def scrub(space: Workspace, tell: Tell | None) -> dict[str, Any]:
    """Hash every artifact; leave an entry where one was mended, moved aside or missed."""
    from instar.ledger.stores import open_artifacts
    from instar.ledger.sweep import scrub as sweep

    clock = SystemClock()
    done = sweep(
        space.journal,
        open_artifacts(space.home, space.project.store),
        keep=space.project.store.keep,
        boot=clock.boot(),
        also=_served(space),
        now=clock.now(),
        tell=_teller(tell),
    )
    if done.repaired or not done.sound:
        _note(space, "scrub", encode(done))
    return {**encode(done), "sound": done.sound}


def collect(space: Workspace, tell: Tell | None, *, dry: bool) -> dict[str, Any]:
    """Remove what nobody needs; leave an entry where something was."""
    from instar.ledger.stores import open_artifacts
    from instar.ledger.sweep import collect as sweep

    clock = SystemClock()
    done = sweep(
        space.journal,
        open_artifacts(space.home, space.project.store),
        keep=space.project.store.keep,
        boot=clock.boot(),
        also=_served(space),
        now=clock.now(),
        tell=_teller(tell),
        dry=dry,
    )
    if done.removed and not dry:
        _note(space, "collect", encode(done))
    return dict(encode(done))


def _served(space: Workspace) -> set[str]:
    """Name the manifests that traffic is, or was last, given to, whatever the ledger says."""
    from instar.serving import routefile

    routes = (routefile.read(space.home, name) for name in (routefile.ROUTE, routefile.LAST_GOOD))
    return {manifest for route in routes if route for manifest in route.manifests.values()}


def _teller(tell: Tell | None) -> Progress:
    def told(what: str, done: float = 0, total: float = 0, note: str = "") -> None:
        if tell is not None:
            tell({"what": what, "done": done, "total": total, "note": note})

    return told


def _note(space: Workspace, what: str, done: Mapping[str, Any]) -> None:
    """Record what was done. Artifacts are named in short: the entry does not need them to be."""
    named = {
        name: [short(digest) for digest in value[:_LISTED]] if isinstance(value, list) else value
        for name, value in done.items()
    }
    counts = {
        f"{name}_count": len(value) for name, value in done.items() if isinstance(value, list)
    }
    space.journal.append(
        "note",
        {"store": what, **named, **counts},
        update=None,
        model=space.project.model,
        actor=space.actor,
    )
