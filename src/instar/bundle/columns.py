"""Raw columns, as a client sends them, to the arrays that a bundle's graph takes."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from instar.bundle.errors import BadValues, MissingColumns
from instar.core.data import ImageColumn, Preprocessing

Columns = Mapping[str, "Sequence[Any] | NDArray[Any]"]
Feed = dict[str, NDArray[Any]]

# All columns of a kind, as the rows of one matrix. No column of a table can be named like this.
NUMBERS, STRINGS = "\0numbers", "\0strings"


class Piece(NamedTuple):
    """The rows of one request, ready to be joined with others: row-major, flat where lists.

    The numbers of a single row are packed as float32 already, where they are numbers.
    """

    rows: int
    numbers: Sequence[Any] | NDArray[Any] | bytes
    strings: Sequence[str] | NDArray[Any]
    image: NDArray[Any] | None


def describe(preprocessing: Preprocessing) -> list[dict[str, Any]]:
    """List the raw columns in the words of the Open Inference Protocol."""
    numbers = [_tensor(column.name, "FP64") for column in preprocessing.numbers]
    texts = [_tensor(column.name, "BYTES") for column in preprocessing.categories]
    image = preprocessing.image
    pixels = [_tensor(image.name, "UINT8", *shape(image))] if image else []
    return [*numbers, *texts, *pixels]


def packed(preprocessing: Preprocessing) -> list[dict[str, Any]]:
    """List the matrices that may stand for columns: all numbers, all texts, in their order.

    A column that bears such a name keeps it, and the matrix is not offered.
    """
    sizes = {"numbers": len(preprocessing.numbers), "strings": len(preprocessing.categories)}
    return [
        _tensor(name, "FP32" if name == "numbers" else "BYTES", size)
        for name, size in sizes.items()
        if size and name not in preprocessing.columns
    ]


def shape(image: ImageColumn) -> tuple[int, ...]:
    """Give the shape of one raw image: (height, width), or (height, width, channels)."""
    size = (image.height, image.width)
    return size if image.channels == 1 else (*size, image.channels)


def _tensor(name: str, datatype: str, *inner: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, *inner]}


class Reader:
    """Turn columns into a graph's feed: the arrays `numbers`, `strings`, `image` that exist.

    A number or a category that is absent, None or NaN counts as missing: the graph fills it. The
    image must be there, and so must at least one column. Columns of no use are ignored. In place
    of its columns, all numbers or all texts may come as the rows of one matrix, under the names
    `NUMBERS` and `STRINGS`.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._numbers = tuple(column.name for column in preprocessing.numbers)
        self._strings = tuple(column.name for column in preprocessing.categories)
        self._image = preprocessing.image
        self._all = (*preprocessing.columns, NUMBERS, STRINGS)
        self._known = frozenset(self._all)
        self._plain = bool(self._numbers) and not self._strings and self._image is None
        self._pack = struct.Struct(f"{len(self._numbers)}f").pack

    def __call__(self, columns: Columns) -> Feed:
        """Build the feed.

        Raises:
            MissingColumns: none of the columns is there, or not the image.
            BadValues: lengths differ, a number is infinite or none, an image has another shape.
        """
        piece = self.piece(columns)
        try:
            feed = self.join([piece])
        except (TypeError, ValueError) as error:
            raise BadValues(self._odd(columns), "numbers", "other values") from error
        if endless(feed):
            place = int(np.isinf(feed["numbers"]).any(axis=0).argmax())
            raise BadValues(self._numbers[place], "finite numbers", "an infinite or huge one")
        return feed

    def piece(self, columns: Columns) -> Piece:
        """Check columns and lay them out by row, to be joined with those of other requests.

        Raises:
            MissingColumns, BadValues: as when called, but for numbers, which `join` converts.
        """
        if len(columns) == 1 and self._plain and NUMBERS in columns and len(columns[NUMBERS]) == 1:
            return Piece(1, self._lay_numbers(columns, 1), (), None)
        rows = self._rows(columns)
        return Piece(
            rows,
            self._lay_numbers(columns, rows) if self._numbers else (),
            self._lay_strings(columns, rows) if self._strings else (),
            _read_image(columns[self._image.name], self._image, rows) if self._image else None,
        )

    def join(self, pieces: Sequence[Piece]) -> Feed:
        """Build one feed of the rows of several requests, in their order.

        A number that float32 cannot hold becomes infinite: see `endless`.

        Raises:
            TypeError, ValueError: a number of one of them is none.
        """
        rows = sum(piece.rows for piece in pieces)
        feed: Feed = {}
        if self._numbers:
            parts = [piece.numbers for piece in pieces]
            feed["numbers"] = _matrix(parts, (rows, len(self._numbers)))
        if self._strings:
            parts = [piece.strings for piece in pieces]
            feed["strings"] = _stacked(parts, (rows, len(self._strings)), object)
        if self._image:
            images = [piece.image for piece in pieces if piece.image is not None]
            feed["image"] = images[0] if len(images) == 1 else np.concatenate(images)
        return feed

    def _rows(self, columns: Columns) -> int:
        if self._image and self._image.name not in columns:
            raise MissingColumns((self._image.name,), tuple(columns))
        if columns.keys() <= self._known and len(lengths := set(map(len, columns.values()))) == 1:
            return lengths.pop()
        rows, first = -1, True
        for name in self._all:
            if name in columns:
                length = len(columns[name])
                if first:
                    rows, first = length, False
                elif length != rows:
                    raise BadValues(name, f"{rows} values, as in the others,", str(length))
        if first:
            raise MissingColumns(self._all, tuple(columns))
        return rows

    def _lay_numbers(self, columns: Columns, rows: int) -> Sequence[Any] | NDArray[Any] | bytes:
        if NUMBERS in columns:
            given: Any = columns[NUMBERS]
            if isinstance(given, np.ndarray):
                return given
            if rows == 1:
                return self._packed(given[0])
            return [value for row in given for value in row]
        if rows == 1:
            return self._packed(
                [
                    math.nan if n not in columns or (value := columns[n][0]) is None else value
                    for n in self._numbers
                ]
            )
        matrix = np.full((rows, len(self._numbers)), np.nan, np.float32)
        try:
            with np.errstate(over="ignore"):
                for place, name in enumerate(self._numbers):
                    if name in columns:
                        matrix[:, place] = columns[name]
        except (TypeError, ValueError) as error:
            raise BadValues(self._odd(columns), "numbers", "other values") from error
        return matrix

    def _packed(self, row: Sequence[Any]) -> Sequence[Any] | bytes:
        """Pack a row as float32, a fifth of what NumPy takes; one that is odd is left as it is.

        As in NumPy, a missing value becomes NaN and a number that is too large infinite.
        """
        try:
            return self._pack(*row)
        except struct.error:
            pass
        try:
            return self._pack(*[math.nan if value is None else value for value in row])
        except struct.error:
            return row

    def _odd(self, columns: Columns) -> str:
        for name in self._numbers:
            try:
                if np.array(columns.get(name, ()), np.float32).ndim != 1:
                    return name
            except (TypeError, ValueError):
                return name
        return "a number column"

    def _lay_strings(self, columns: Columns, rows: int) -> Sequence[str] | NDArray[Any]:
        if STRINGS in columns:
            return [_text("strings", value) for row in columns[STRINGS] for value in row]
        if rows == 1:
            return [_text(n, columns[n][0]) if n in columns else "" for n in self._strings]
        matrix = np.full((rows, len(self._strings)), "", object)
        for place, name in enumerate(self._strings):
            if name in columns:
                matrix[:, place] = [_text(name, value) for value in columns[name]]
        return matrix


def endless(feed: Feed) -> bool:
    """Tell whether a number of a feed is infinite."""
    return "numbers" in feed and bool(np.isinf(feed["numbers"]).any())


def _matrix(parts: Sequence[Any], wanted: tuple[int, int]) -> NDArray[Any]:
    """Make one matrix of numbers, of rows that are packed, flat lists or matrices."""
    if all(type(part) is bytes for part in parts):
        return np.frombuffer(b"".join(parts), np.float32).reshape(wanted)
    parts = [np.frombuffer(p, np.float32) if type(p) is bytes else p for p in parts]
    with np.errstate(over="ignore"):
        return _stacked(parts, wanted, np.float32)


def _stacked(parts: Sequence[Any], wanted: tuple[int, int], kind: Any) -> NDArray[Any]:
    """Make one matrix of rows that are flat lists or matrices."""
    if all(type(part) is list for part in parts):
        flat = parts[0] if len(parts) == 1 else [value for part in parts for value in part]
        made = np.array(flat, kind)
        if made.ndim > 1:
            raise ValueError(made.shape)
        return made.reshape(wanted)
    width = wanted[1]
    all_ = [np.asarray(part, kind).reshape(-1, width) for part in parts]
    return all_[0] if len(all_) == 1 else np.concatenate(all_)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise BadValues(name, "UTF-8 text", "other bytes") from error
    raise BadValues(name, "text", f"a {type(value).__name__}")


def _read_image(values: Any, image: ImageColumn, rows: int) -> NDArray[Any]:
    wanted = (rows, *shape(image))
    try:
        pixels = np.asarray(values)
    except ValueError as error:
        raise BadValues(image.name, f"images of shape {wanted[1:]}", "ragged ones") from error
    if pixels.shape != wanted:
        raise BadValues(image.name, f"images of shape {wanted[1:]}", f"shape {pixels.shape[1:]}")
    if pixels.dtype == np.uint8:
        return pixels
    whole = np.issubdtype(pixels.dtype, np.integer) and not ((pixels < 0) | (pixels > 255)).any()
    if not whole:
        raise BadValues(image.name, "whole pixels from 0 to 255", str(pixels.dtype))
    return pixels.astype(np.uint8)
