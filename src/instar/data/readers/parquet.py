"""Parquet files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from instar.data.readers.errors import BrokenFile, EmptyFile


def read(path: Path) -> pl.DataFrame:
    """Read one Parquet file whole; a truncated one is refused."""
    if path.stat().st_size == 0:
        raise EmptyFile(path.name)
    try:
        frame = pl.read_parquet(path, hive_partitioning=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BrokenFile(path.name, "Parquet") from error
    if frame.is_empty():
        raise EmptyFile(path.name)
    return frame
