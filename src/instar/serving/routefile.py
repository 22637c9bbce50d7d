"""The wanted state of the gateway: one file with one route, replaced as a whole.

Whoever moves traffic writes `serve/route.json`; the gateway follows it. So traffic can be moved
while the gateway is down, and the gateway starts without anything else. `serve/last_good.json`
is the gateway's own note of the last route that it could put in force.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from instar.core.codec import decode, encode
from instar.core.crash import crashpoint
from instar.core.digest import canonical
from instar.core.errors import BackendError, IntegrityError
from instar.core.tools import Route
from instar.ledger.files import UnsafeFile
from instar.ledger.safedir import MovedFolder, SafeDir
from instar.serving.routing import check

ROUTE = "route.json"
LAST_GOOD = "last_good.json"
GATEWAY = "gateway.json"


class NoRoute(BackendError):
    """Report that nobody was given traffic yet."""

    code = "backend.no_route"

    def __init__(self) -> None:
        super().__init__("a route", "none so far", "adopt a champion first")


class BrokenRoute(IntegrityError):
    """Refuse a route file that is not one."""

    code = "integrity.broken_route"

    def __init__(self, name: str) -> None:
        super().__init__(f"a route in {name}", "something else", "move the traffic again")


class StaleRoute(BackendError):
    """Refuse a route that is older than the one in the file: somebody else moved the traffic."""

    code = "backend.stale_route"
    retryable = True

    def __init__(self, known: int, got: int) -> None:
        super().__init__(
            f"a generation after {known}", str(got), "look at the route again, then move"
        )


class FencedRoute(BackendError):
    """Refuse a route of someone whose lease went to another."""

    code = "backend.fenced_route"

    def __init__(self, epoch: int, known: int) -> None:
        super().__init__(
            f"to move traffic at epoch {epoch}",
            f"a lost lease, epoch {known}",
            "nothing was moved: somebody else carries on",
        )


def folder(root: Path) -> SafeDir:
    """Return the folder of the gateway's files."""
    return SafeDir(root / "serve")


def read(root: Path, name: str = ROUTE) -> Route | None:
    """Read a route; None where there is none.

    Raises:
        BrokenRoute: the file does not hold a route.
        UnsafeFile, MovedFolder: something was put in its place.
    """
    try:
        return decode(Route, json.loads(folder(root).read(name)))
    except FileNotFoundError:
        return None
    except (UnsafeFile, MovedFolder):
        raise
    except (ValueError, IntegrityError, AttributeError) as error:
        raise BrokenRoute(name) from error


def write(root: Path, route: Route, name: str = ROUTE) -> None:
    """Replace the route, atomically and durably.

    Raises:
        FencedRoute: the file's route is of a higher epoch.
        StaleRoute: the file's generation is not older.
        BadRoute: the route contradicts itself.
    """
    check(route)
    with folder(root).alone("route.lock"):
        known = read(root, name)
        if known and known.epoch > route.epoch:
            raise FencedRoute(route.epoch, known.epoch)
        if known and known.generation >= route.generation:
            raise StaleRoute(known.generation, route.generation)
        crashpoint("route.write")
        keep(root, name, canonical(encode(route)))
        crashpoint("route.written")


def claim(root: Path, epoch: int) -> None:
    """Put an epoch on the route in the file, so that no lower one moves traffic from here on.

    Raises:
        FencedRoute: the file's route is of a higher epoch.
    """
    with folder(root).alone("route.lock"):
        known = read(root, ROUTE)
        if known is None or known.epoch == epoch:
            return
        if known.epoch > epoch:
            raise FencedRoute(epoch, known.epoch)
        crashpoint("route.claim")
        keep(root, ROUTE, canonical(encode(replace(known, epoch=epoch))))
        crashpoint("route.claimed")


def keep(root: Path, name: str, data: bytes) -> None:
    """Replace one of the gateway's files, atomically and durably."""
    folder(root).keep(name, [data])
