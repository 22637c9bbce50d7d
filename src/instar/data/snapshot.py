"""Data sets by digest."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from instar.core.data import Kind, Schema, Snapshot
from instar.core.tools import Artifacts
from instar.data.split import drawn

_GROUP = 1 << 17  # rows of a row group
_WIDE = 64  # cells a row from which a row group has fewer rows: a reader holds one at a time
_IMAGES = 1 << 12  # rows with images that are read at once


def take(
    frame: pl.DataFrame,
    schema: Schema,
    artifacts: Artifacts,
    source: str,
    time: str | None = None,
) -> Snapshot:
    """Keep rows as one Parquet file; the same rows give the same digest.

    Args:
        source: A label for people: a file's name, never a path.
        time: The column whose bounds are noted.
    """
    digest = artifacts.put(to_bytes(frame))
    since, until = _span(frame, time)
    return Snapshot(digest, frame.height, schema, source, since, until)


def to_bytes(frame: pl.DataFrame) -> bytes:
    """Write Parquet the same way every time, however the frame was put together."""
    buffer = io.BytesIO()
    # Pages follow chunks, so chunks are joined; zstd 1 is near the fastest and half of snappy.
    frame.rechunk().write_parquet(
        buffer,
        compression="zstd",
        compression_level=1,
        row_group_size=group_rows(_cells(frame)),
        statistics=False,
    )
    return buffer.getvalue()


def group_rows(cells: float) -> int:
    """Say how many rows stand in one row group of a snapshot with so many cells a row.

    A cell is a number, a text, or eight bytes of an image.

    Example:
        >>> group_rows(8), group_rows(1_000)
        (131072, 8192)
    """
    rows = _GROUP
    while rows > 1 and rows * cells > _GROUP * _WIDE:
        rows //= 2
    return rows


def _cells(frame: pl.DataFrame) -> float:
    images = frame.select(pl.col(pl.Binary).bin.size().sum())
    return (
        frame.width + sum(images.row(0)) / 8 / max(1, frame.height) if images.width else frame.width
    )


def load(snapshot: Snapshot, artifacts: Artifacts) -> pl.DataFrame:
    """Read the rows back, verified against their digest."""
    return pl.read_parquet(artifacts.path(snapshot.digest), glob=False, hive_partitioning=False)


def load_all(snapshots: Iterable[Snapshot], artifacts: Artifacts) -> pl.DataFrame:
    """Read several snapshots below each other; a column that one lacks is missing there."""
    frames = [load(snapshot, artifacts) for snapshot in snapshots]
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


def part(file: Path, start: int, rows: int) -> pl.DataFrame:
    """Read some rows of a snapshot's file, and hold little more than them.

    Args:
        file: As the store's `path` gave it, which has verified it.
    """
    scan = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    return scan.slice(start, rows).collect()


def draw(snapshots: Sequence[Snapshot], artifacts: Artifacts, rows: int, seed: int) -> pl.DataFrame:
    """Draw as `split.sample` does from `load_all`, and hold no more than a row group besides."""
    height = sum(one.rows for one in snapshots)
    if height <= rows:
        return load_all(snapshots, artifacts)
    numbers, frames, before = drawn(height, rows, seed), [], 0
    for one in snapshots:
        file, step = artifacts.path(one.digest), _step(one.schema)
        frames.append(part(file, 0, 0))  # its columns are those of the whole, drawn from or not
        for start in range(0, one.rows, step):
            first, last = np.searchsorted(numbers, (before + start, before + start + step))
            ours = numbers[first:last] - before - start
            if len(ours := ours[ours < one.rows - start]):
                frames.append(part(file, start, step)[ours])
        before += one.rows
    return pl.concat(frames, how="diagonal_relaxed")


def _step(schema: Schema) -> int:
    images = any(column.kind is Kind.IMAGE for column in schema.columns)
    return _IMAGES if images else group_rows(len(schema.columns))


def there(snapshots: Sequence[Snapshot], artifacts: Artifacts) -> bool:
    """Tell whether there are snapshots, and all of them still in the store."""
    return bool(snapshots) and all(one.digest in artifacts for one in snapshots)


def _span(frame: pl.DataFrame, time: str | None) -> tuple[str | None, str | None]:
    if time is None or time not in frame.columns:
        return None, None
    bounds = (frame[time].min(), frame[time].max())
    first, last = (
        bound.isoformat() if isinstance(bound, datetime) else None if bound is None else str(bound)
        for bound in bounds
    )
    return first, last
