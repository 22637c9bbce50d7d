"""What the last looks of a release saw, for whoever watches it: a file beside the route.

The ledger holds every move and no look that changed nothing. So each look is appended here, not
forced to the disk: it is only shown, and nothing is decided by it. The file is bounded; a full
one takes the place of the one before it.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from instar.core.codec import encode
from instar.core.errors import InstarError
from instar.core.records import Release
from instar.serving import routefile

_NOW, _BEFORE = "looks.jsonl", "looks.1.jsonl"
_FULL = 256 << 10  # bytes; some fifty looks


def note(root: Path, update: str, now: Release, at: float) -> None:
    """Keep a look, without pictures and plan; that it cannot be kept holds no release up."""
    found = encode(now)
    del found["plan"]
    for finding in found["findings"]:
        del finding["picture"]
    line = json.dumps({"update": update, "at": at, "release": found})
    place = routefile.folder(root)
    with contextlib.suppress(InstarError):
        # A line that was cut off by a crash is closed by the next one's head.
        if place.append(_NOW, f"\n{line}".encode()) >= _FULL:
            place.rename(_NOW, _BEFORE)


def last(root: Path, update: str) -> dict[str, Any] | None:
    """Read the last look of an update's release: `at` (seconds since the epoch) and `release`.

    None where there is none, or none that is whole.
    """
    place = routefile.folder(root)
    for name in (_NOW, _BEFORE):
        try:
            lines = place.read(name).splitlines()
        except (FileNotFoundError, InstarError):
            continue
        for line in reversed(lines):
            with contextlib.suppress(ValueError):
                found: dict[str, Any] = json.loads(line)
                if found["update"] == update:
                    return found
    return None
