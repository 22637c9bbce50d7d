"""One text per category value, whatever type the source gave it."""

from __future__ import annotations

import polars as pl


def as_text(values: pl.Series) -> pl.Series:
    """Write categories and labels as text: whole numbers without a point, booleans in English.

    Example:
        >>> as_text(pl.Series([1.0, 2.0, None])).to_list()
        ['1', '2', None]
        >>> as_text(pl.Series([True, False])).to_list()
        ['true', 'false']
    """
    if values.dtype.is_float() and bool((values.drop_nulls() % 1 == 0).all()):
        values = values.cast(pl.Int64)
    return values.cast(pl.String)


def in_order(values: pl.Series) -> tuple[str, ...]:
    """Sort the distinct texts, as numbers where all are whole numbers.

    Example:
        >>> in_order(pl.Series(["10", "9", None]))
        ('9', '10')
    """
    distinct = as_text(values).drop_nulls().unique().to_list()
    if all(text.removeprefix("-").isdecimal() for text in distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct))
