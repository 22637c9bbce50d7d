"""Where the last release stands, in one small file beside the route, for those who watch.

Whoever leads a release writes `serve/release.json`; the gateway, which knows no ledger, shows it
in its metrics. Nothing is decided by it: a file that is not there or damaged says nothing, and so
does one whose writer has lost the route to somebody with a higher epoch, as an abort takes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from instar.core.errors import InstarError
from instar.core.records import Phase, Release
from instar.serving import routefile
from instar.serving.exposition import family

NAME = "release.json"


@dataclass(frozen=True, slots=True)
class Standing:
    """The candidate of a release, its phase and its step, and its leader's epoch."""

    version: str
    phase: str
    step: int
    epoch: int


def keep(root: Path, epoch: int, version: str, release: Release) -> None:
    """Note where a release stands; a disk that does not take it is no reason to stop one."""
    standing = Standing(version, release.phase.value, release.step, epoch)
    if read(root) == standing:
        return
    try:
        routefile.keep(root, NAME, json.dumps(asdict(standing)).encode())
    except (OSError, InstarError):
        return


def read(root: Path) -> Standing | None:
    """Read where the last release stands; None where nobody says so."""
    try:
        found = json.loads(routefile.folder(root).read(NAME))
        standing = Standing(
            str(found["version"]), str(found["phase"]), int(found["step"]), int(found["epoch"])
        )
        route = routefile.read(root)
    except (OSError, InstarError, ValueError, TypeError, KeyError):
        return None
    return standing if route and route.epoch <= standing.epoch else None


def exposed(model: str, root: Path) -> Iterator[str]:
    """Write each phase as a series of its own, and the step, as Prometheus text."""
    found = [standing] if (standing := read(root)) else []
    yield from family(
        "instar_release_phase",
        "gauge",
        (
            (
                {"model": model, "version": one.version, "phase": phase.value},
                phase.value == one.phase,
            )
            for one in found
            for phase in Phase
        ),
    )
    yield from family(
        "instar_release_step",
        "gauge",
        (({"model": model, "version": one.version}, one.step) for one in found),
    )
