"""The word that lets a program change something over HTTP: made once, read by its owner alone."""

from __future__ import annotations

import secrets
from pathlib import Path

from instar.ledger.safedir import SafeDir

NAME = "keys/api.token"


def token(home: Path) -> str:
    """Return the workspace's token; make it, durably, where there is none.

    Args:
        home: The workspace's own folder, `.instar`.
    Example:
        >>> import tempfile
        >>> home = Path(tempfile.mkdtemp())
        >>> token(home) == token(home), len(token(home)) > 40
        (True, True)
    """
    place = SafeDir(home, mode=0o700)
    if not place.holds(NAME):
        with place.alone("keys/lock"):
            if not place.holds(NAME):  # of two that make one at once, the first one's stays
                place.keep(NAME, [secrets.token_urlsafe(32).encode()], mode=0o400)
    return place.read(NAME).decode()
