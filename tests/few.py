"""Of many members of a family, those that `make test` tries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(members: Iterable[Any], *kept: Any) -> list[Any]:
    """Mark all as long but those that are named: more of the same, for `make thorough`."""
    members = list(members)
    assert set(kept) <= set(members), "a member that there is not"
    return [
        one
        if one in kept
        else pytest.param(*(one if isinstance(one, tuple) else (one,)), marks=pytest.mark.thorough)
        for one in members
    ]
