from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import polars as pl

from instar.core.data import Task, TaskKind
from instar.labels.pool import Chosen
from instar.labels.sheet import sheet
from tests.labels.test_ways import pool

TASK = Task(TaskKind.MULTICLASS, "kind", ("a", "b", "c"), id="key")
CHOSEN = Chosen(np.array([2, 0]), np.array([0.5, 0.25], np.float32))
FRAME = pl.DataFrame(
    {"x": [float(i) for i in range(8)], "kind": [None] * 8, "key": [f"k{i}" for i in range(8)]}
)


def read(data: bytes) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(data))


def test_sheet_has_row_id_score_raw_columns_and_an_empty_target() -> None:
    found = read(sheet(FRAME, replace(pool(4), task=TASK), CHOSEN, None, blind=False))
    assert found.columns == ["row", "key", "score", "x", "kind"]
    assert found.rows() == [(4, "k4", 0.5, 4.0, None), (0, "k0", 0.25, 0.0, None)]


def test_pseudo_labels_stand_in_the_target_and_the_blind_sheet_hides_them() -> None:
    some = replace(pool(4), task=TASK)
    found = read(sheet(FRAME, some, CHOSEN, ["a", "c"], blind=False))
    assert found["kind"].to_list() == ["a", "c"]
    blind = read(sheet(FRAME, some, CHOSEN, None, blind=True))
    assert (blind.columns, blind["kind"].to_list()) == (["row", "key", "x", "kind"], [None, None])


def test_column_of_the_data_keeps_its_name() -> None:
    frame = FRAME.rename({"x": "row"})
    found = read(sheet(frame, replace(pool(4), task=TASK), CHOSEN, None, blind=False))
    assert found.columns == ["row_", "key", "score", "row", "kind"]


def test_images_are_named_by_their_files_alone() -> None:
    frame = pl.DataFrame(
        {
            "image": [b"png"] * 8,
            "kind": ["new"] * 8,
            "file_name": [f"new/{i}.png" for i in range(8)],
            "more": [1] * 8,
        }
    )
    task = replace(TASK, id=None)
    found = read(sheet(frame, replace(pool(4), task=task), CHOSEN, None, blind=False))
    assert found.columns == ["row", "score", "file_name", "kind"]
    assert found["file_name"].to_list() == ["new/4.png", "new/0.png"]


def test_columns_that_no_csv_can_hold_are_left_out() -> None:
    frame = FRAME.with_columns(many=pl.Series([[1, 2]] * 8))
    found = read(sheet(frame, replace(pool(4), task=TASK), CHOSEN, None, blind=False))
    assert "many" not in found.columns
