"""Readers by file ending. A reader turns one path into one frame, whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from instar.core.family import Family
from instar.data.readers import arrow, delimited, folder, parquet

READERS: Family[Callable[[Path], pl.DataFrame]] = Family(
    "reader",
    {
        "csv": delimited.read,
        "parquet": parquet.read,
        "arrow": arrow.read,
        "feather": arrow.read,
        "folder": folder.read,
    },
)
