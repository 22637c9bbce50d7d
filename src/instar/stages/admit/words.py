"""How findings of the data gate write shares, counts, names and rows."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl


def share(value: float) -> str:
    """Write a fraction in per cent.

    Example:
        >>> share(0.1137), share(0.05), share(1.0)
        ('11.4 %', '5 %', '100 %')
    """
    return f"{100 * value:.3g} %"


def count(number: int) -> str:
    """Write a count with separators.

    Example:
        >>> count(28243)
        '28,243'
    """
    return f"{number:,}"


def names(all_names: Iterable[str], most: int = 5) -> str:
    """List names, at most five of them.

    Example:
        >>> names("abcdefg")
        'a, b, c, d, e and 2 more'
    """
    listed = list(all_names)
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")


def days(times: pl.Series | None) -> str:
    """Say which days rows span, where a table has times; else nothing.

    Example:
        >>> from datetime import datetime
        >>> days(pl.Series([datetime(2013, 7, 8, 5), datetime(2013, 7, 14, 23)]))
        ', 2013-07-08 to 2013-07-14'
        >>> days(None)
        ''
    """
    if times is None or not isinstance(times.dtype, pl.Datetime) or not times.count():
        return ""
    first, last = (
        bound.strftime("%Y-%m-%d") for bound in times.dt.date().sort().drop_nulls()[[0, -1]]
    )
    return f", {first} to {last}" if first != last else f", {first}"
