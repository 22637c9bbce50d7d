"""Where two JSON values differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def differences(one: Any, other: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Walk two JSON values side by side and give every place where they differ, leaf by leaf.

    What only one of them has is None in the other; lists of unequal length are leaves.

    Example:
        >>> list(differences({"a": [1, 2], "b": 0}, {"a": [1, 3], "b": 0, "c": 4}))
        [('a.1', 2, 3), ('c', None, 4)]
    """
    if isinstance(one, dict) and isinstance(other, dict):
        keys = dict.fromkeys([*one, *other])
        pairs = [(str(key), one.get(key), other.get(key)) for key in keys]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(str(i), *pair) for i, pair in enumerate(zip(one, other, strict=True))]
    else:
        if one != other:
            yield place, one, other
        return
    for key, left, right in pairs:
        yield from differences(left, right, f"{place}.{key}" if place else key)
