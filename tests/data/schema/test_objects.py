"""Objects in images, as labels."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from instar.core.data import Kind, Role, Task, TaskKind
from instar.core.errors import InputError
from instar.core.policy import DataSettings, SplitSettings
from instar.data import preprocessing, snapshot
from instar.data.boxes import TooManyObjects, WrongBox, WrongObject, canonical
from instar.data.read import read_frame
from instar.data.schema import complete_task, conform, infer_schema
from instar.data.schema.errors import NoLabels, UnknownLabel
from instar.data.schema.tasks import target_of
from instar.data.split import split
from instar.testing.tools import MemoryArtifacts

WANTED = Task(TaskKind.DETECTION, "boxes", ("cat", "dog"))
CAT = {"label": "cat", "box": [0, 1, 5, 6.5]}
DOG = {"label": "dog", "box": [2.0, 2.0, 10.0, 8.0]}


def picture() -> bytes:
    file = BytesIO()
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(file, format="PNG")
    return file.getvalue()


def table(*cells: Any) -> pl.DataFrame:
    boxes = pl.Series("boxes", list(cells), strict=False)
    return pl.DataFrame({"image": [picture()] * len(cells)}).with_columns(boxes)


def test_objects_are_read_with_classes_from_one_on() -> None:
    frame = table([CAT, DOG], None, [])
    task = complete_task(frame, WANTED)
    schema = infer_schema(frame, task, DataSettings())
    [column] = schema.of(Role.TARGET)
    assert (column.kind, column.categories) == (Kind.BOXES, ("cat", "dog"))
    assert [c.name for c in schema.features] == ["image"]
    rows = conform(frame, schema, task, ("image",))
    labels = preprocessing.labels(rows.drop_nulls(), task)
    assert (labels.shape, labels.dtype) == ((2, 100, 5), np.float32)
    assert labels[0, :3].tolist() == [[0, 1, 5, 6.5, 1], [2, 2, 10, 8, 2], [0, 0, 0, 0, 0]]
    assert not labels[1].any()
    with pytest.raises(NoLabels):
        preprocessing.labels(rows, task)
    marks = target_of(task).marks(rows, task)
    assert marks is not None
    np.testing.assert_array_equal(marks.values, [[1, 1], [np.nan, np.nan], [0, 0]])


def test_every_way_to_write_objects_comes_to_the_same() -> None:
    corners = {"label": "cat", "x1": 0, "y1": 1, "x2": 5, "y2": 6.5}
    wanted = canonical(pl.Series("boxes", [[CAT], [], None], strict=False))
    assert canonical(wanted).equals(wanted)
    assert canonical(pl.Series("boxes", [[corners], [], None], strict=False)).equals(wanted)
    assert canonical(pl.Series("boxes", [json.dumps([CAT]), "[]", None])).equals(wanted)
    pandas = pytest.importorskip("pandas")
    frame = pl.from_pandas(pandas.DataFrame({"boxes": [[CAT], [], None]}))
    assert canonical(frame["boxes"]).equals(wanted)


def test_snapshot_gives_objects_back() -> None:
    frame = table([CAT, DOG], None, [])
    task = complete_task(frame, WANTED)
    schema = infer_schema(frame, task, DataSettings())
    rows = conform(frame, schema, task, ("image",))
    store = MemoryArtifacts()
    taken = snapshot.take(rows, schema, store, "fresh")
    assert snapshot.load(taken, store).equals(rows)


def test_classes_are_those_that_are_shown_where_none_are_named() -> None:
    task = complete_task(table([DOG], [CAT]), Task(TaskKind.DETECTION, "boxes"))
    assert task.classes == ("cat", "dog")
    assert complete_task(table([DOG]), Task(TaskKind.DETECTION, "boxes")).classes == ("dog",)


def box(*corners: float, label: Any = "cat") -> list[dict[str, Any]]:
    return [{"label": label, "box": list(corners)}]


@pytest.mark.parametrize(
    ("cell", "error", "needle"),
    [
        pytest.param(box(5, 1, 5, 6), WrongBox, "row 1", id="no width"),
        pytest.param(box(5, 6, 8, 2), WrongBox, r"\[5, 6, 8, 2\]", id="upside down"),
        pytest.param(box(0, 0, 11, 6), WrongBox, "x2 <= 10", id="too far right"),
        pytest.param(box(0, 0, 9, 8.5), WrongBox, "y2 <= 8", id="too far down"),
        pytest.param(box(-1, 0, 9, 8), WrongBox, "0 <= x1", id="too far left"),
        pytest.param(box(0, 0, float("nan"), 6), WrongObject, "finite", id="nan"),
        pytest.param(box(0, 0, float("inf"), 6), WrongObject, "finite", id="infinite"),
        pytest.param(box(0, 0, 5), WrongObject, "four", id="three numbers"),
        pytest.param(box(0, 1, 5, 6, label="cow"), UnknownLabel, "'cow'", id="unknown class"),
        pytest.param([{"box": [0.0, 1.0, 5.0, 6.0]}], WrongObject, "label", id="no label"),
        pytest.param([CAT] * 101, TooManyObjects, "101 in row 1", id="too many"),
    ],
)
def test_objects_that_are_none_are_refused(cell: Any, error: type[InputError], needle: str) -> None:
    with pytest.raises(error, match=needle) as caught:
        complete_task(table([CAT], cell), WANTED)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "error"),
    [
        pytest.param(["no JSON"], WrongObject, id="text"),
        pytest.param(['{"label": "cat"}'], WrongObject, id="no list"),
        pytest.param(["[3]"], WrongObject, id="number in a list"),
        pytest.param([3.5], WrongObject, id="number"),
        pytest.param([[{**CAT, "iscrowd": 1}]], WrongObject, id="more than is kept"),
        pytest.param([[], []], NoLabels, id="nothing to find"),
        pytest.param([None, None], NoLabels, id="nobody knows"),
    ],
)
def test_columns_that_hold_no_objects_are_refused(cells: list[Any], error: type) -> None:
    with pytest.raises(error):
        complete_task(table(*cells), WANTED)


def test_fresh_objects_are_held_against_classes_and_images() -> None:
    task = complete_task(table([CAT], [DOG]), WANTED)
    schema = infer_schema(table([CAT], [DOG]), task, DataSettings())
    for bad in (box(0, 0, 3, 3, label="cow"), box(0, 0, 30, 3)):
        with pytest.raises(InputError):
            conform(table([CAT], bad), schema, task, ("image",))


def test_folder_with_a_table_of_objects_is_read(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(picture())
    rows = {"file_name": ["a.png", "b.png"], "boxes": [json.dumps([CAT, DOG]), "[]"]}
    pl.DataFrame(rows).write_csv(tmp_path / "metadata.csv")
    frame = read_frame(tmp_path)
    task = complete_task(frame, WANTED)
    schema = infer_schema(frame, task, DataSettings())
    found = conform(frame, schema, task, ("image",))
    assert found["boxes"].list.len().to_list() == [2, 0]
    with pytest.raises(WrongBox):
        conform(
            frame.with_columns(boxes=pl.lit(json.dumps(box(0, 0, 99, 1)))), schema, task, ("image",)
        )


def test_split_keeps_rare_classes_in_every_part() -> None:
    frame = table(*([[CAT]] * 180 + [[CAT, DOG]] * 20)).sample(fraction=1, shuffle=True, seed=1)
    for part in split(frame, WANTED, SplitSettings(), seed=0):
        share = part.select((pl.col("boxes").list.len() == 2).mean()).item()
        assert share == pytest.approx(0.1, abs=0.05)
