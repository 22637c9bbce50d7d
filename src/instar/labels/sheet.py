"""The sheet that people fill in: CSV with row number, id, score, raw columns, and the target."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from instar.core.data import Task
from instar.labels.pool import Chosen, Pool

FILE_NAME = "file_name"


def sheet(
    frame: pl.DataFrame, pool: Pool, chosen: Chosen, labels: Sequence[str] | None, *, blind: bool
) -> bytes:
    """Write the chosen rows as CSV, in their order.

    Of images, which do not go into a CSV, their file names stand for them.

    Args:
        frame: The data as they were read.
        labels: What goes into the target; None leaves it empty.
        blind: Leave the score out, so that it sways nobody.
    """
    numbers = pool.numbers[chosen.rows]
    rows, task = frame[numbers], pool.task
    front = [pl.Series(own("row", frame), numbers)]
    if task.id is not None and task.id in rows.columns:
        front.append(rows[task.id])
    if not blind:
        front.append(pl.Series(own("score", frame), chosen.scores).cast(pl.Float64).round(6))
    said: Sequence[str | None] = labels or [None] * rows.height
    targets = [pl.Series(name, said, dtype=pl.String, strict=False) for name in task.columns]
    return pl.DataFrame([*front, *_raw(rows, task), *targets]).write_csv().encode()


def own(name: str, frame: pl.DataFrame) -> str:
    """Name a column of ours so that it is none of the data's.

    Example:
        >>> own("row", pl.DataFrame({"row": [1]})), own("row", pl.DataFrame({"x": [1]}))
        ('row_', 'row')
    """
    while name in frame.columns:
        name += "_"
    return name


def _raw(rows: pl.DataFrame, task: Task) -> list[pl.Series]:
    images = any(column.dtype == pl.Binary for column in rows)
    kept = (column for column in rows if column.name not in (task.id, *task.columns))
    flat = (column for column in kept if not column.dtype.is_nested())
    return [column for column in flat if not images or column.name == FILE_NAME]
