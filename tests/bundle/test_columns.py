from __future__ import annotations

import numpy as np
import pytest

from instar.bundle.columns import NUMBERS, Reader, describe
from instar.bundle.errors import BadValues, MissingColumns
from instar.core.data import CategoryColumn, ImageColumn, NumberColumn, Preprocessing

TABLE = Preprocessing(
    numbers=(NumberColumn("x", 0, 1, 0), NumberColumn("y", 0, 1, 0)),
    categories=(CategoryColumn("colour", ("blue", "red")),),
)
GREY = Preprocessing(image=ImageColumn("scan", 2, 3, "L", 1.0, 0.0))
COLOUR = Preprocessing(image=ImageColumn("scan", 2, 3, "RGB", 1.0, 0.0))


def test_describe_lists_raw_columns_in_protocol_words():
    assert describe(TABLE) == [
        {"name": "x", "datatype": "FP64", "shape": [-1]},
        {"name": "y", "datatype": "FP64", "shape": [-1]},
        {"name": "colour", "datatype": "BYTES", "shape": [-1]},
    ]
    assert describe(GREY) == [{"name": "scan", "datatype": "UINT8", "shape": [-1, 2, 3]}]
    assert describe(COLOUR)[0]["shape"] == [-1, 2, 3, 3]


@pytest.mark.parametrize("rows", [1, 3])
def test_reader_treats_none_nan_and_absent_as_missing(rows):
    feed = Reader(TABLE)({"x": [None] * rows, "colour": [None] * rows})
    assert feed["numbers"].shape == (rows, 2)
    assert feed["numbers"].dtype == np.float32
    assert np.isnan(feed["numbers"]).all()
    assert (feed["strings"] == "").all()
    assert (Reader(TABLE)({"x": [np.nan] * rows, "colour": [np.nan] * rows})["strings"] == "").all()


@pytest.mark.parametrize("rows", [1, 2])
def test_reader_takes_lists_and_arrays_alike(rows):
    plain = {"x": [1.5] * rows, "y": [2] * rows, "colour": ["red"] * rows, "other": ["?"] * rows}
    arrays = {name: np.array(values) for name, values in plain.items()}
    coded = plain | {"colour": [b"red"] * rows}
    for given in (plain, arrays, coded):
        feed = Reader(TABLE)(given)
        assert set(feed) == {"numbers", "strings"}
        assert feed["numbers"].tolist() == [[1.5, 2.0]] * rows
        assert feed["strings"].tolist() == [["red"]] * rows


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"x": [1, 2], "y": [1]}, "y"),
        ({"x": ["a"], "y": [1]}, "x"),
        ({"x": [1, 2], "y": [1, "b"]}, "y"),
        ({"x": [[1, 2]]}, "x"),
        ({"x": [float("inf")]}, "x"),
        ({"x": [0.0, 1.0], "y": [1.0, -np.inf]}, "y"),
        ({"x": [1e39]}, "x"),
        ({"colour": [3]}, "colour"),
        ({"colour": [b"\xff"]}, "colour"),
    ],
)
def test_reader_refuses_bad_values_and_names_the_column(columns, named):
    with pytest.raises(BadValues, match=f"in {named};"):
        Reader(TABLE)(columns)


def test_reader_refuses_a_request_without_any_known_column():
    with pytest.raises(MissingColumns, match="x, y, colour"):
        Reader(TABLE)({"z": [1]})
    with pytest.raises(MissingColumns, match="scan"):
        Reader(GREY)({"x": [1]})


def test_reader_keeps_uint8_images_and_narrows_whole_ones():
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert Reader(GREY)({"scan": pixels})["image"] is pixels
    assert Reader(GREY)({"scan": pixels.tolist()})["image"].tolist() == pixels.tolist()
    deep = np.zeros((1, 2, 3, 3), np.int64)
    assert Reader(COLOUR)({"scan": deep})["image"].dtype == np.uint8


@pytest.mark.parametrize(
    "scan",
    [
        np.zeros((1, 3, 2), np.uint8),
        np.zeros((1, 2, 3, 1), np.uint8),
        np.zeros((1, 2, 3)),
        np.full((1, 2, 3), 256),
        np.full((1, 2, 3), -1),
        [[[1, 2, 3], [4, 5]]],
    ],
)
def test_reader_refuses_other_images(scan):
    with pytest.raises(BadValues, match="in scan;"):
        Reader(GREY)({"scan": scan})


@pytest.mark.parametrize(
    "row", [[1.5, None], [0.1, 2], [1e39, np.nan], [True, np.float64(0.3)], [10**30, -0.0]]
)
def test_single_row_becomes_what_numpy_makes_of_it_alone_and_beside_others(row):
    numbers = Preprocessing(numbers=TABLE.numbers)
    reader, columns = Reader(numbers), {"x": [row[0]], "y": [row[1]]}
    with np.errstate(over="ignore"):
        wanted = np.array([row], np.float32)
    for given in (columns, {NUMBERS: [row]}):
        piece = reader.piece(given)
        assert piece.numbers == wanted.tobytes()
        both = reader.join([piece, reader.piece({"x": [1, 2], "y": [3, 4]})])
        np.testing.assert_array_equal(both["numbers"][:1], wanted)
        assert both["numbers"][1:].tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("row", [["?", 1.0], [1.0], [1.0, 2.0, 3.0], [10**400, 1.0], [[1.0], 2.0]])
def test_row_that_cannot_be_packed_is_refused_with_the_words_for_any_other(row):
    with pytest.raises((BadValues, OverflowError)):
        Reader(Preprocessing(numbers=TABLE.numbers))({NUMBERS: [row]})
