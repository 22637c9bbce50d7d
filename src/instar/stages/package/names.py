"""The names of versions: when they were packaged, in UTC, to the minute."""

from __future__ import annotations

import itertools
import re
from collections.abc import Container
from datetime import UTC, datetime


def version_name(now: float, taken: Container[str] = ()) -> str:
    """Name a version; a taken name gets a number behind it.

    Args:
        now: Seconds since the epoch.
        taken: Names that exist.
    Example:
        >>> version_name(0.0), version_name(0.0, {"model_v19700101_0000"})
        ('model_v19700101_0000', 'model_v19700101_0000_2')
    """
    name = f"model_v{datetime.fromtimestamp(now, UTC):%Y%m%d_%H%M}"
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(free for free in names if free not in taken)


def named_at(name: str) -> float:
    """Read from a version's name when it was packaged, to the minute, in seconds since the epoch.

    Raises:
        ValueError: the name is none that `version_name` gives.
    Example:
        >>> named_at(version_name(61.0, {"model_v19700101_0001"}))
        60.0
    """
    found = re.match(r"model_v(\d{8}_\d{4})", name)
    if found is None:
        raise ValueError(name)
    return datetime.strptime(found[1], "%Y%m%d_%H%M").replace(tzinfo=UTC).timestamp()
