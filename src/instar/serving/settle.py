"""Bring the traffic to where the ledger says, wherever a crash left the two.

Level-triggered: it looks at what is, not at what happened, and may be called at any time. It
moves only what nobody is moving: a release under way owns the traffic, and what a person moved
ahead of the ledger stays where they wanted it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from instar.core.codec import decode, filed
from instar.core.records import ModelVersion, Phase, Release
from instar.core.tools import Route
from instar.core.update import State, Update, replay
from instar.ledger.journal import Entry, Journal
from instar.ledger.versions import signed
from instar.serving import routefile
from instar.serving.client import GatewayTraffic

_LAST = 3  # promotions that are looked at: those before were, when they were among the last


@dataclass(frozen=True, slots=True)
class Gap:
    """Say where traffic is not what the ledger says.

    `todo` is the command that closes the gap; empty where the next worker or gateway does.
    """

    problem: str
    todo: str = ""


def settle(root: Path, model: str, journal: Journal, boot: tuple[str, float]) -> Gap | None:
    """Close the gap between ledger and traffic, and let warm versions go whose hold is over.

    The release that such a version was replaced by is `retired` then: its last entry.

    Args:
        root: The workspace's own folder, `.instar`.
        boot: Which start of the machine this is, and the seconds since.
    Returns:
        The gap that only a person can close, if there is one.
    """
    entry = journal.champion(model)
    if entry is None:
        return None
    route = routefile.read(root)
    found = gap(journal, model, route)
    if found and found.todo:
        return found
    home = _home(journal, entry, route) if found or route is None else route
    wanted = _cooled(journal, model, home, boot)
    if wanted != route:
        traffic = GatewayTraffic(root, model)
        try:
            traffic.put(replace(wanted, epoch=max(wanted.epoch, journal.epoch(model))))
        except (routefile.StaleRoute, routefile.FencedRoute):
            return None  # somebody moves it at this very moment, and knows more
    _retire(journal, model, wanted)
    return None


def gap(journal: Journal, model: str, route: Route | None) -> Gap | None:
    """Hold the wanted route against the ledger; None where they agree."""
    entry = journal.champion(model)
    if entry is None:
        return None
    champion = str(entry.body["name"])
    if route is None:
        return Gap(f"{champion} is the champion, and was not given traffic yet")
    if release := _under_way(journal, model):
        if release.promoted and route.champion != champion:
            problem = f"{champion} is promoted, and traffic has yet to follow"
            return Gap(problem, f"instar release {release.request.update}")
        return None
    if route.champion != champion:
        problem = f"traffic is with {route.champion}, but the ledger's champion is {champion}"
        lags = (entry.epoch or 0) > route.epoch
        return Gap(problem, "" if lags else "instar rollback --reason WHY")
    sharing = {name for name, share in route.shares.items() if share and name != champion}
    if others := sorted({*sharing, *route.shadow}):
        return Gap(f"{', '.join(others)} has a part of the traffic, and no release is under way")
    return None


def _under_way(journal: Journal, model: str) -> Update | None:
    """Return the update whose release is under way; only the newest one can be open."""
    asked = journal.last("request", model=model)
    if asked is None:
        return None
    state = replay(journal.entries(update=asked.update))
    return state if state.state is State.RELEASING else None


def _home(journal: Journal, entry: Entry, route: Route | None) -> Route:
    champion = signed(journal, entry.model, decode(ModelVersion, entry.body))
    name, bundle = champion.name, champion.bundle
    if route is not None:
        return route.home(name, bundle.manifest, bundle.signature)
    signatures = {name: bundle.signature} if bundle.signature else {}
    given = {name: bundle.manifest}
    return Route(entry.model, 1, {name: 1.0}, given, name, signatures=signatures)


def _cooled(journal: Journal, model: str, route: Route, boot: tuple[str, float]) -> Route:
    """Leave those warm that are held; during a release all of them."""
    if not route.warm or _under_way(journal, model):
        return route
    held = {str(entry.body["name"]) for entry in journal.held(boot, model)}
    warm = tuple(name for name in route.warm if name in held)
    if warm == route.warm:
        return route
    needed = {route.champion, *route.shares, *warm, *route.shadow}
    return replace(
        route,
        generation=route.generation + 1,
        warm=warm,
        manifests={name: m for name, m in route.manifests.items() if name in needed},
        signatures={name: s for name, s in route.signatures.items() if name in needed},
    )


def _retire(journal: Journal, model: str, route: Route) -> None:
    """End the releases whose version before is not kept any more; once, whoever comes by."""
    kept = {route.champion, *route.shares, *route.warm}
    for promotion in journal.entries(model=model, kind="promotion")[-_LAST:]:
        update, before = promotion.update, promotion.body.get("parent")
        key = f"retired:{update}"
        if update is None or before is None or before in kept or journal.by_key(key):
            continue
        state = replay(journal.entries(update=update))
        last = state.get(Release)
        if last is None or last.phase is not Phase.PROMOTED or state.taken_back:
            continue
        ended = replace(
            last,
            phase=Phase.RETIRED,
            reason=f"{before} is let go; to go back to it loads it anew",
            cause="time",
            before=dict(last.shares),
        )
        journal.append("release", filed(ended), update=update, model=model, actor="instar", key=key)
