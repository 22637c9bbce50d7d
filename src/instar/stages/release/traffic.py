"""The moves: every route that a release writes, and the one way back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from instar.core.records import Bundle, ModelVersion
from instar.core.tools import Route, Traffic


def rollback(traffic: Traffic, champion: ModelVersion) -> float:
    """Give all traffic to a version; the way back of a release, by itself or by hand.

    It may be called at any time and as often as one likes. The versions that served stay warm.

    Returns:
        Seconds until the last request went elsewhere.
    Raises:
        BackendError: nobody says that the traffic has moved. The gateway moves it as soon as it
            sees the route, so calling again is all there is to do.
    """
    return traffic.move(
        traffic.route().home(champion.name, champion.bundle.manifest, champion.bundle.signature)
    )


def begin(traffic: Traffic, champion: ModelVersion, candidate: Bundle) -> float:
    """Load and warm the candidate without traffic, then rehearse the way back.

    The salt is the candidate's name: other people meet another candidate first.

    Returns:
        Seconds that the way back took.
    """
    route = traffic.route()
    # What the last promotion keeps warm stays so: the way back from the champion is still open.
    kept = [name for name in route.warm if name == champion.parent]
    manifests = {name: route.manifests[name] for name in kept}
    traffic.move(
        Route(
            model=route.model,
            generation=route.generation + 1,
            shares={champion.name: 1.0},
            manifests={**manifests, **_manifests(champion, candidate)},
            champion=champion.name,
            salt=candidate.version,
            warm=(candidate.version, *kept),
            signatures={**_kept(route, kept), **_signatures(champion, candidate)},
        )
    )
    return rollback(traffic, champion)


def shadow(traffic: Traffic, candidate: Bundle, part: float, tolerance: float) -> Route:
    """Show the candidate a part of the requests, which it answers for nobody.

    It is warm already: see `begin`.
    """
    route = traffic.route()
    moved = replace(
        route,
        generation=route.generation + 1,
        shadow={candidate.version: part},
        tolerance=tolerance,
    )
    traffic.move(moved)
    return moved


def share(traffic: Traffic, champion: ModelVersion, candidate: Bundle, part: float) -> Route:
    """Give the candidate its share, a fraction; return the route in force."""
    route = traffic.route()
    split = {champion.name: 1 - part, candidate.version: part}
    moved = replace(
        route,
        generation=route.generation + 1,
        shares={name: size for name, size in split.items() if size},
        manifests={**route.manifests, **_manifests(champion, candidate)},
        champion=champion.name,
        warm=tuple(dict.fromkeys((candidate.version, champion.name, *route.warm))),
        signatures={**route.signatures, **_signatures(champion, candidate)},
        shadow={},
    )
    traffic.move(moved)
    return moved


def finish(traffic: Traffic, champion: ModelVersion, candidate: Bundle) -> Route:
    """Make the candidate the champion of the route; the old one stays warm."""
    route = traffic.route()
    moved = replace(
        route,
        generation=route.generation + 1,
        shares={candidate.version: 1.0},
        manifests=_manifests(champion, candidate),
        champion=candidate.version,
        warm=(champion.name,),
        signatures=_signatures(champion, candidate),
        shadow={},
    )
    traffic.move(moved)
    return moved


def _manifests(champion: ModelVersion, candidate: Bundle) -> dict[str, str]:
    return {champion.name: champion.bundle.manifest, candidate.version: candidate.manifest}


def _signatures(champion: ModelVersion, candidate: Bundle) -> dict[str, str]:
    both = {champion.name: champion.bundle.signature, candidate.version: candidate.signature}
    return {name: signature for name, signature in both.items() if signature}


def _kept(route: Route, names: Iterable[str]) -> dict[str, str]:
    return {name: route.signatures[name] for name in names if name in route.signatures}
