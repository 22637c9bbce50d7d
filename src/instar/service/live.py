"""A release as it is at this moment: what the ledger, the last look and the gateway say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from instar.core.codec import encode
from instar.core.errors import BackendError
from instar.core.records import Bundle, Release
from instar.core.update import State

if TYPE_CHECKING:
    from instar.service import Workspace

MOVES = 8  # the last moves that are shown


def newest(space: Workspace) -> str | None:
    """Name the update whose release is under way, else the last one; None where there is none."""
    ids = space.update_ids()
    releasing = [name for name in ids if space.state(name).state is State.RELEASING]
    chosen = releasing or ids
    return chosen[-1] if chosen else None


def live(space: Workspace, update: str) -> dict[str, Any]:
    """Tell where a release stands, in plain values; works while nobody carries it, too.

    `looked_at` is when the findings were measured (seconds since the epoch), `carried` whether
    somebody carries the release, `gateway` whether the gateway answers; without its answer the
    shares are those of the last record, and requests those of the last look.
    """
    from instar.serving import looks

    state = space.state(update)
    outcome = space.outcome(update)
    release, bundle = state.get(Release), state.get(Bundle)
    champion, candidate = state.request.champion, bundle.version if bundle else None
    seen = looks.last(space.home, update) if release else None
    now = encode(release) if release else {}
    if seen and state.state is State.RELEASING:
        now |= {k: v for k, v in seen["release"].items() if k in ("findings", "requests", "labels")}
        now |= {k: seen["release"][k] for k in ("verdict", "reason")}
    steps = release.plan.steps if release and release.plan else ()
    return {
        "model": space.project.model,
        "update": update,
        "state": outcome.state.value,
        "champion": champion,
        "candidate": candidate,
        "phase": now.get("phase"),
        "paused": now.get("paused"),
        "strategy": release.plan.strategy if release and release.plan else None,
        "step": now.get("step", 0),
        "steps": [encode(step) for step in steps],
        "config": now.get("config", ""),
        "verdict": now.get("verdict"),
        "reason": now.get("reason") or outcome.message,
        "since": now.get("since"),
        "began_at": now.get("began_at"),
        "rehearsed_s": now.get("rehearsed_s"),
        "rollback_s": now.get("rollback_s"),
        "labels": now.get("labels", 0),
        "findings": now.get("findings", []),
        "looked_at": seen["at"] if seen else None,
        "orders": len(state.orders) - now.get("orders", 0),
        "carried": space.journal.holder(space.project.model, time.time()) is not None,
        **_traffic(space, champion, candidate, now),
        "moves": _moves(space, update),
        "next": outcome.next,
        "exit_code": outcome.exit_code,
    }


def _traffic(
    space: Workspace, champion: str, candidate: str | None, now: dict[str, Any]
) -> dict[str, Any]:
    """Ask the gateway who serves what, and what each version did since the release began."""
    from instar.serving.client import GatewayTraffic

    traffic = GatewayTraffic(space.home, space.project.model)
    found: dict[str, Any] = {"gateway": False, "shares": now.get("shares", {champion: 1.0})}
    found["served"] = {candidate: {"requests": now["requests"]}} if candidate and now else {}
    try:
        found["shares"] = traffic.status()["shares"]
        served = traffic.served(now.get("generation") or 0)
    except BackendError:
        return found
    names = [name for name in (champion, candidate) if name]
    found["served"] = {
        name: {
            "requests": served[name].requests,
            "failed": served[name].errors + served[name].invalid,
            "p99_ms": served[name].latency_ms.get("p99"),
        }
        for name in names
        if name in served
    }
    return {**found, "gateway": True}


def _moves(space: Workspace, update: str) -> list[dict[str, Any]]:
    """List the last moves: when, whereto, and who or what moved it."""
    entries = space.journal.entries(update=update, kind="release")[-MOVES:]
    return [
        {
            "entry": entry.seq,
            "at": entry.at,
            "phase": entry.body["phase"],
            "paused": entry.body.get("paused"),
            "step": entry.body["step"],
            "verdict": entry.body["verdict"],
            "cause": entry.body.get("cause", ""),
            "reason": entry.body["reason"],
            "before": entry.body.get("before", {}),
            "after": entry.body["shares"],
        }
        for entry in entries
    ]
