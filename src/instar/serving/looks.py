"""What the last looks of a release saw, for whoever watches it: a file beside the route.

The ledger holds every move and no look that changed nothing. So whoever leads a release appends
each look here, not forced to the disk: it is only shown, and nothing is decided by it. The file
is bounded; a full one takes the place of the one before it. The gateway, which knows no ledger,
shows the last look in its metrics, as long as nobody of a higher epoch has taken the route.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instar.core.codec import encode
from instar.core.errors import InstarError
from instar.serving import routefile
from instar.serving.exposition import family

if TYPE_CHECKING:
    from instar.core.records import Release

_NOW, _BEFORE = "looks.jsonl", "looks.1.jsonl"
_FULL = 256 << 10  # bytes; some fifty looks


def note(root: Path, update: str, now: Release, at: float, epoch: int) -> None:
    """Keep a look, without pictures and plan; that it cannot be kept holds no release up.

    Args:
        at: When it was, in seconds since the epoch of dates.
        epoch: The fencing epoch of whoever leads the release.
    """
    found = encode(now)
    del found["plan"]
    for finding in found["findings"]:
        del finding["picture"]
    version = now.plan.candidate if now.plan else ""
    look = {"update": update, "version": version, "epoch": epoch, "at": at, "release": found}
    place = routefile.folder(root)
    with contextlib.suppress(InstarError, OSError):
        # A line that was cut off by a crash is closed by the next one's head.
        if place.append(_NOW, f"\n{json.dumps(look)}".encode()) >= _FULL:
            place.rename(_NOW, _BEFORE)


def last(root: Path, update: str = "") -> dict[str, Any] | None:
    """Read the last look of an update's release, or of any: what `note` was given.

    None where there is none, or none that is whole.
    """
    place = routefile.folder(root)
    for name in (_NOW, _BEFORE):
        try:
            lines = place.read(name).splitlines()
        except (OSError, InstarError):
            continue
        for line in reversed(lines):
            with contextlib.suppress(ValueError, TypeError, KeyError):
                found: dict[str, Any] = json.loads(line)
                if update in ("", found["update"]):
                    return found
    return None


def exposed(model: str, root: Path) -> Iterator[str]:
    """Write each phase as a series of its own, and the step, as Prometheus text."""
    from instar.core.records import Phase  # not before somebody asks: a gateway starts sooner

    standing = [look] if (look := _in_force(root)) else []
    yield from family(
        "instar_release_phase",
        "gauge",
        (
            (
                {"model": model, "version": one["version"], "phase": phase.value},
                phase.value == one["release"]["phase"],
            )
            for one in standing
            for phase in Phase
        ),
    )
    yield from family(
        "instar_release_step",
        "gauge",
        (({"model": model, "version": one["version"]}, one["release"]["step"]) for one in standing),
    )


def _in_force(root: Path) -> dict[str, Any] | None:
    try:
        look, route = last(root), routefile.read(root)
        return look if look and route and route.epoch <= look["epoch"] else None
    except (OSError, InstarError, KeyError, TypeError):
        return None
