"""The public keys that a workspace trusts to sign bundles. No cryptography is loaded here."""

from __future__ import annotations

import contextlib
from pathlib import Path

from instar.ledger.safedir import SafeDir

_LARGEST = 1 << 16  # bytes of a public key; more is something else


def trusted(home: Path) -> tuple[bytes, ...]:
    """Return the public keys whose signatures count, as PEM; none in a workspace without keys.

    They are `keys/bundle.pub`, which belongs to the key that signs here, and every
    `keys/trusted/*.pub`: keys of other workspaces, and earlier ones of this. Whoever may write
    there decides whom the gateway believes.

    Args:
        home: The workspace's own folder, `.instar`.
    Raises:
        UnsafeFile: something else than a file with one name stands in the place of one.
        StoreFailed: one cannot be read.
    """
    place = SafeDir(home, mode=0o700)
    others = [
        f"keys/trusted/{name}" for name in place.list("keys/trusted") if name.endswith(".pub")
    ]
    found = []
    for name in ("keys/bundle.pub", *others):
        with contextlib.suppress(FileNotFoundError):
            found.append(place.read(name)[:_LARGEST])
    return tuple(found)
