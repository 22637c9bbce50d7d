"""Data sets by digest."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import datetime

import polars as pl

from instar.core.data import Schema, Snapshot
from instar.core.tools import Artifacts


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
        buffer, compression="zstd", compression_level=1, row_group_size=1 << 17, statistics=False
    )
    return buffer.getvalue()


def load(snapshot: Snapshot, artifacts: Artifacts) -> pl.DataFrame:
    """Read the rows back, verified against their digest."""
    return pl.read_parquet(artifacts.path(snapshot.digest), glob=False, hive_partitioning=False)


def load_all(snapshots: Iterable[Snapshot], artifacts: Artifacts) -> pl.DataFrame:
    """Read several snapshots below each other; a column that one lacks is missing there."""
    frames = [load(snapshot, artifacts) for snapshot in snapshots]
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


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
