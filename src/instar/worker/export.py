"""The task behind `instar log export`: kept predictions and their labels, as rows to learn from."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import polars as pl

from instar.core.data import Schema, Task
from instar.core.errors import InputError
from instar.core.records import ModelVersion
from instar.ledger import files
from instar.ledger.safedir import SafeDir
from instar.serving import segments
from instar.worker.work import Work

ANSWER = ("answer_id", "answer_version", "answer_generation", "answer_at", "answer_scores")


class NothingToExport(InputError):
    """Refuse to write a file without rows."""

    code = "input.nothing_logged"

    def __init__(self, rows: int, labels: int, *, unlabelled: bool) -> None:
        wanted = "logged predictions" if unlabelled else "logged predictions that have a label"
        todo = "post labels under the requests' ids to /api/v1/feedback, or export with --all"
        super().__init__(wanted, f"{rows:,} predictions and {labels:,} labels, none of which", todo)


class NotAColumn(InputError):
    """Refuse to export images, whose raw pixels are no file of a data set."""

    code = "input.log_images"

    def __init__(self) -> None:
        super().__init__(
            "logged rows of numbers and categories", "images", "collect the images where they are"
        )


def export(work: Work, *, output: str, unlabelled: bool, answers: bool) -> dict[str, Any]:
    """Write kept predictions, joined with the last label each was given, as Parquet.

    The columns are the raw inputs and the target: what an update takes as fresh data. A request's
    id that was answered again stands for its last answer.
    """
    champion = work.champion()
    found = segments.read(SafeDir(work.home / "serve"))
    rows = _rows(found, champion)
    labels = _labels(found, champion.task)
    joined = rows.join(labels, on=ANSWER[0], how="left", maintain_order="left")
    labelled = joined.filter(pl.any_horizontal(pl.col(champion.task.columns).is_not_null()))
    kept = joined if unlabelled else labelled
    if kept.is_empty():
        raise NothingToExport(len(rows), len(labels), unlabelled=unlabelled)
    made = kept if answers else kept.drop(ANSWER)
    data = io.BytesIO()
    made.write_parquet(data)
    out = Path(output)
    with files.mapped():
        files.settle(files.write(out.parent, [data.getvalue()], mode=0o644), out)
    return {
        "file": output,
        "rows": len(made),
        "labelled": len(labelled),
        "logged": len(rows),
        "labels": len(labels),
        "columns": made.columns,
        "torn": found.torn,
    }


def _rows(found: segments.Found, champion: ModelVersion) -> pl.DataFrame:
    """Put the answers of all versions below each other, the last one under each id."""
    frames = []
    for table in found.answers:
        frame = pl.DataFrame(pl.from_arrow(table))
        inner = frame.get_column("inputs").struct.unnest()
        told = frame.select(pl.col(name.removeprefix("answer_")).alias(name) for name in ANSWER)
        frames.append(pl.concat([inner, told], how="horizontal"))
    if not frames:
        return pl.DataFrame(schema=dict.fromkeys(ANSWER, pl.String))
    rows = pl.concat(frames, how="diagonal").sort("answer_at", maintain_order=True)
    if any(dtype == pl.Binary for dtype in rows.dtypes):
        raise NotAColumn
    named = pl.col(ANSWER[0])
    last = rows.filter(named.is_null() | named.is_last_distinct())
    task = champion.task
    if task.time and task.time not in last.columns:  # when it was asked is when it happened
        last = last.with_columns(_moment(champion.schema, task.time))
    return last


def _moment(schema: Schema, name: str) -> pl.Expr:
    """Write when a row was asked as its time: a date, or seconds since 1970 for a number."""
    at = pl.col(ANSWER[3])
    dated = name in schema and schema[name].dtype.startswith("Date")
    made = at.dt.replace_time_zone(None) if dated else at.dt.epoch("s")
    return made.alias(name)


def _labels(found: segments.Found, task: Task) -> pl.DataFrame:
    """Lay out the last label under each id as the task's columns."""
    last: dict[str, Any] = {}
    for table in found.labels:
        for row in sorted(table.to_pylist(), key=lambda row: row["at"]):
            last[row["id"]] = json.loads(row["label"])
    columns: dict[str, list[Any]] = {ANSWER[0]: list(last)}
    for name in task.columns:
        columns[name] = [v.get(name) if isinstance(v, dict) else v for v in last.values()]
    kinds = {ANSWER[0]: pl.String}
    return pl.DataFrame(columns, schema_overrides=kinds, strict=False)
