"""Raw columns, as a client sends them, to the arrays that a bundle's graph takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar.bundle.errors import BadValues, MissingColumns
from instar.core.data import ImageColumn, Preprocessing

Columns = Mapping[str, "Sequence[Any] | NDArray[Any]"]
Feed = dict[str, NDArray[Any]]


def describe(preprocessing: Preprocessing) -> list[dict[str, Any]]:
    """List the raw columns in the words of the Open Inference Protocol."""
    numbers = [_tensor(column.name, "FP64") for column in preprocessing.numbers]
    texts = [_tensor(column.name, "BYTES") for column in preprocessing.categories]
    image = preprocessing.image
    pixels = [_tensor(image.name, "UINT8", *shape(image))] if image else []
    return [*numbers, *texts, *pixels]


def shape(image: ImageColumn) -> tuple[int, ...]:
    """Give the shape of one raw image: (height, width), or (height, width, channels)."""
    size = (image.height, image.width)
    return size if image.channels == 1 else (*size, image.channels)


def _tensor(name: str, datatype: str, *inner: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, *inner]}


class Reader:
    """Turn columns into a graph's feed: the arrays `numbers`, `strings`, `image` that exist.

    A number or a category that is absent, None or NaN counts as missing: the graph fills it. The
    image must be there, and so must at least one column. Columns of no use are ignored.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._numbers = tuple(column.name for column in preprocessing.numbers)
        self._strings = tuple(column.name for column in preprocessing.categories)
        self._image = preprocessing.image
        self._all = preprocessing.columns

    def __call__(self, columns: Columns) -> Feed:
        """Build the feed.

        Raises:
            MissingColumns: none of the columns is there, or not the image.
            BadValues: lengths differ, a number is infinite or none, an image has another shape.
        """
        rows = self._rows(columns)
        feed: Feed = {}
        if self._numbers:
            feed["numbers"] = self._read_numbers(columns, rows)
        if self._strings:
            feed["strings"] = self._read_strings(columns, rows)
        if self._image:
            feed["image"] = _read_image(columns[self._image.name], self._image, rows)
        return feed

    def _rows(self, columns: Columns) -> int:
        if self._image and self._image.name not in columns:
            raise MissingColumns((self._image.name,), tuple(columns))
        lengths = {name: len(columns[name]) for name in self._all if name in columns}
        if not lengths:
            raise MissingColumns(self._all, tuple(columns))
        rows = next(iter(lengths.values()))
        for name, length in lengths.items():
            if length != rows:
                raise BadValues(name, f"{rows} values, as in the others,", str(length))
        return rows

    def _read_numbers(self, columns: Columns, rows: int) -> NDArray[Any]:
        try:
            # A number that float32 cannot hold becomes infinite here and is refused below.
            with np.errstate(over="ignore"):
                if rows == 1:  # one conversion for the row costs a third of one per column
                    row = [columns[n][0] if n in columns else math.nan for n in self._numbers]
                    matrix = np.array([row], np.float32)
                else:
                    matrix = np.full((rows, len(self._numbers)), np.nan, np.float32)
                    for place, name in enumerate(self._numbers):
                        if name in columns:
                            matrix[:, place] = columns[name]
        except (TypeError, ValueError) as error:
            raise BadValues(self._odd(columns), "numbers", "other values") from error
        if np.isinf(matrix).any():
            place = int(np.isinf(matrix).any(axis=0).argmax())
            raise BadValues(self._numbers[place], "finite numbers", "an infinite or huge one")
        return matrix

    def _odd(self, columns: Columns) -> str:
        for name in self._numbers:
            try:
                if np.array(columns.get(name, ()), np.float32).ndim != 1:
                    return name
            except (TypeError, ValueError):
                return name
        return "a number column"

    def _read_strings(self, columns: Columns, rows: int) -> NDArray[Any]:
        matrix = np.full((rows, len(self._strings)), "", object)
        for place, name in enumerate(self._strings):
            if name in columns:
                values = [_text(name, value) for value in columns[name]]
                matrix[:, place] = values
        return matrix


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
