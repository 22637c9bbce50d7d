"""Rows as one matrix of numbers, for the quick models that some checks train."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

CODES = 200  # categories beyond the most frequent share a code


def matrix(frame: pl.DataFrame, old: pl.DataFrame) -> NDArray[np.float64]:
    """Lay rows out as (n, d), with NaN for missing numbers.

    Categories are coded by how frequent they are in the old rows; 0 is unknown or missing.

    Example:
        >>> rows = pl.DataFrame({"x": [1.0, None], "c": ["b", "z"]})
        >>> matrix(rows, pl.DataFrame({"x": [0.0] * 3, "c": ["a", "b", "b"]})).tolist()
        [[1.0, 1.0], [nan, 0.0]]
    """
    columns = [
        _codes(frame[name], old[name]) if coded else frame[name].cast(pl.Float64)
        for name, coded in zip(frame.columns, coded_columns(frame), strict=True)
    ]
    return np.stack([column.fill_null(float("nan")).to_numpy() for column in columns], axis=1)


def coded_columns(frame: pl.DataFrame) -> list[bool]:
    """Say which columns of the matrix hold codes."""
    return [dtype == pl.String for dtype in frame.dtypes]


def _codes(values: pl.Series, old: pl.Series) -> pl.Series:
    counts = old.drop_nulls().value_counts().sort("count", old.name, descending=[True, False])
    known = counts[old.name].head(CODES).to_list()
    return values.replace_strict(
        known, range(1, len(known) + 1), default=0, return_dtype=pl.Float64
    )
