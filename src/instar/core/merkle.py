"""The Merkle tree of RFC 6962: one digest for a list, and short proofs that an item is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from instar.core.digest import PREFIX


def root(items: Sequence[bytes]) -> str:
    """Compute the digest that stands for a list in its order.

    Leaves and nodes are hashed with a byte of their own in front, so that none can pass for the
    other.

    Args:
        items: What the leaves hold; their number and order count.
    Source:
        RFC 6962, section 2.1.
    Example:
        >>> root([b"a", b"b"]) == root([b"b", b"a"])
        False
        >>> root([])[:14]
        'sha256:e3b0c44'
    """
    return PREFIX + _tree(items).hex()


def _tree(items: Sequence[bytes]) -> bytes:
    if not items:
        return hashlib.sha256().digest()
    if len(items) == 1:
        return hashlib.sha256(b"\x00" + items[0]).digest()
    left = 1 << (len(items) - 1).bit_length() - 1  # the largest power of two below the length
    return hashlib.sha256(b"\x01" + _tree(items[:left]) + _tree(items[left:])).digest()
