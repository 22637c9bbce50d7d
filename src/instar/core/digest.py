"""Name bytes and records by their SHA-256."""

from __future__ import annotations

import hashlib
import json
from typing import Any

PREFIX = "sha256:"


def canonical(value: Any) -> bytes:
    """Write a JSON value in the one form that is hashed: sorted keys, no spaces, UTF-8.

    Raises:
        ValueError: a number is NaN or infinite (JSON has neither).
    Example:
        >>> canonical({"b": 1, "a": [1.5, None]})
        b'{"a":[1.5,null],"b":1}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def in_order(value: Any) -> bytes:
    """Write a JSON value whose order of keys means something, as of the metrics of a policy.

    Example:
        >>> in_order({"b": 1, "a": 2})
        b'{"b":1,"a":2}'
    """
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_bytes(data: bytes) -> str:
    """Name bytes.

    Example:
        >>> digest_bytes(b"")[:14]
        'sha256:e3b0c44'
    """
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_json(value: Any) -> str:
    """Name a JSON value by its canonical form."""
    return digest_bytes(canonical(value))


def is_digest(text: object) -> bool:
    """Tell whether a text has the form of a digest.

    Example:
        >>> is_digest("sha256:" + "0" * 64), is_digest("sha256:../etc")
        (True, False)
    """
    if not isinstance(text, str):  # a record that somebody else wrote may hold anything
        return False
    tail = text.removeprefix(PREFIX)
    return text.startswith(PREFIX) and len(tail) == 64 and set(tail) <= set("0123456789abcdef")


def short(digest: str) -> str:
    """Shorten a digest for people.

    Example:
        >>> short("sha256:" + "ab" * 32)
        'abababababab'
    """
    return digest.removeprefix(PREFIX)[:12]
