"""Masks beside images, as labels."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import polars as pl
import pytest
from PIL import Image

from instar.core.data import Kind, Role, Task, TaskKind
from instar.core.errors import InputError
from instar.core.policy import DataSettings, SplitSettings
from instar.data import preprocessing
from instar.data.images import BrokenImage, WrongImage
from instar.data.schema import complete_task, conform, infer_schema
from instar.data.schema.errors import NoLabels, OneClass, WrongClasses
from instar.data.schema.tasks import target_of
from instar.data.split import split

WANTED = Task(TaskKind.SEGMENTATION, "mask", ("sky", "sea", "land"))


def encoded(pixels, mode="L"):
    file = BytesIO()
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    image.save(file, format="PNG")
    return file.getvalue()


def table(*masks):
    image = encoded(np.zeros((2, 3)))
    return pl.DataFrame({"image": [image] * len(masks), "mask": list(masks)})


ONE = encoded([[0, 1, 2], [0, 255, 2]])
TWO = encoded([[1, 1, 1], [1, 1, 1]], "P")


def test_masks_are_read_as_places_of_classes():
    frame = table(ONE, None, TWO)
    task = complete_task(frame, WANTED)
    schema = infer_schema(frame, task, DataSettings())
    [column] = schema.of(Role.TARGET)
    assert (column.kind, column.categories) == (Kind.IMAGE, ("sky", "sea", "land"))
    assert [c.name for c in schema.features] == ["image"]
    rows = conform(frame, schema, task, ("image",))
    labels = preprocessing.labels(rows.drop_nulls(), task)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[[0, 1, 2], [0, 255, 2]], [[1, 1, 1], [1, 1, 1]]]
    with pytest.raises(NoLabels):
        preprocessing.labels(rows, task)
    marks = target_of(task).marks(rows, task)
    np.testing.assert_allclose(marks.values, [[0.4, 0.2, 0.4], [np.nan] * 3, [0, 1, 0]])


def test_classes_are_counted_where_none_are_named():
    wanted = Task(TaskKind.SEGMENTATION, "mask")
    assert complete_task(table(ONE, TWO), wanted).classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("masks", "error", "needle"),
    [
        ([encoded([[0, 3, 0], [0, 0, 0]])], WrongClasses, "below 3"),
        ([TWO], OneClass, "sea"),
        ([encoded([[255, 255, 255], [255, 255, 255]])], NoLabels, "mask"),
        ([ONE, encoded([[0, 1], [1, 1]])], WrongImage, "row 1"),
        ([encoded([[0, 1], [1, 1]])], WrongImage, "2 x 3"),
        ([encoded(np.zeros((2, 3, 3)))], WrongImage, "RGB"),
        ([b"no image"], BrokenImage, "row 0"),
    ],
)
def test_masks_that_are_none_are_refused(masks, error, needle):
    with pytest.raises(error, match=needle):
        complete_task(table(*masks), WANTED)


def test_fresh_masks_are_held_against_the_classes():
    task = complete_task(table(ONE, TWO), WANTED)
    schema = infer_schema(table(ONE, TWO), task, DataSettings())
    for bad in (encoded([[9, 0, 0], [0, 0, 0]]), b"no image"):
        with pytest.raises(InputError):
            conform(table(ONE, bad), schema, task, ("image",))
    texts = table(ONE).with_columns(mask=pl.lit("a.png"))
    with pytest.raises(WrongClasses, match="encoded masks"):
        conform(texts, schema, task, ("image",))


def test_split_keeps_rare_classes_in_every_part():
    plain, rare = encoded([[0, 0, 0], [1, 1, 1]]), encoded([[0, 0, 0], [1, 1, 2]])
    frame = table(*([plain] * 180 + [rare] * 20)).sample(fraction=1, shuffle=True, seed=1)
    for part in split(frame, WANTED, SplitSettings(), seed=0):
        share = part.select((pl.col("mask") == pl.lit(rare)).mean()).item()
        assert share == pytest.approx(0.1, abs=0.05)
