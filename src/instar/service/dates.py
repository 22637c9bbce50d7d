"""Days and moments, as people write them and as entries carry them. All are in UTC."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from instar.core.errors import InputError


class BadDate(InputError):
    """Refuse a text that is no date."""

    code = "input.date"

    def __init__(self, text: str) -> None:
        super().__init__(
            "a date, 2026-11-26 or 2026-11-26T14:30, in UTC", repr(text[:40]), "correct it"
        )


def moment(text: str, *, end: bool = False) -> float:
    """Read a date or a moment, in seconds since the epoch.

    Args:
        text: ISO 8601; without an offset it is in UTC.
        end: Take the end of a day instead of its beginning.
    Raises:
        BadDate: it is none.
    Example:
        >>> moment("1970-01-02"), moment("1970-01-02", end=True), moment("1970-01-01T00:01")
        (86400.0, 172800.0, 60.0)
    """
    try:
        read = datetime.fromisoformat(text)
        read = read if read.tzinfo else read.replace(tzinfo=UTC)
        if end and len(text) <= len("2026-11-26"):
            read += timedelta(days=1)
        return read.timestamp()
    except (ValueError, OverflowError) as error:
        raise BadDate(text) from error


def written(at: float) -> str:
    """Write a moment for people.

    Example:
        >>> written(0.0)
        '1970-01-01 00:00:00'
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def in_order(dates: Sequence[float]) -> list[float]:
    """Make dates agree with the order of the things they belong to.

    As many as possible are kept as they are; one that contradicts those, from a clock that was
    wrong for a while, is replaced by the one before it that is kept.

    Source:
        Fredman 1975, "On computing the length of longest increasing subsequences".
    Example:
        >>> in_order([1, 2, 99, 3, 0, 4])
        [1, 2, 2, 3, 3, 4]
    """
    tails: list[float] = []
    ends: list[int] = []
    before: list[int] = []
    for i, date in enumerate(dates):
        place = bisect.bisect_right(tails, date)
        before.append(ends[place - 1] if place else -1)
        tails[place : place + 1] = [date]
        ends[place : place + 1] = [i]
    kept = set()
    i = ends[-1] if ends else -1
    while i >= 0:
        kept.add(i)
        i = before[i]
    last = dates[min(kept)] if kept else 0.0
    made = []
    for i, date in enumerate(dates):
        last = date if i in kept else last
        made.append(last)
    return made
