"""Which rows to have labelled next, and labels that the champion is sure enough of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from instar.core.family import Family
from instar.labels.core_set import core_set
from instar.labels.entropy import entropy
from instar.labels.margin import margin
from instar.labels.pool import Chosen, Pool

__all__ = ["WAYS", "Chosen", "Pool", "Way"]

Way: TypeAlias = Callable[[Pool, int], Chosen]
"""Choose at most so many rows of a pool, the one to label first at the front."""

WAYS: Family[Way] = Family(
    "way to choose rows", {"entropy": entropy, "margin": margin, "core-set": core_set}
)
