"""Objects in images: a column whose cells list them, each a label and a box in pixels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import polars as pl

from instar.core.data import BOX, OBJECTS
from instar.core.errors import InputError

BOXES = pl.List(pl.Struct({"label": pl.String, "box": pl.List(pl.Float64)}))
"""How the column is kept."""
_CORNERS = ("x1", "y1", "x2", "y2")
_FORM = "objects as {label, box: [x1, y1, x2, y2]}"


class WrongObject(InputError):
    """Refuse an object that is not a label and a box."""

    code = "input.wrong_object"

    def __init__(self, column: str, row: int, got: object, wanted: str = _FORM) -> None:
        shown = f"{str(got)[:60]} in row {row}"
        super().__init__(f"{wanted} in column {column!r}", shown, "correct it at the source")


class WrongBox(InputError):
    """Refuse a box that has no area, or does not lie in its image."""

    code = "input.wrong_box"

    def __init__(self, column: str, row: int, size: tuple[int, int], got: Iterable[float]) -> None:
        height, width = size
        super().__init__(
            f"0 <= x1 < x2 <= {width} and 0 <= y1 < y2 <= {height} in column {column!r}",
            f"[{', '.join(f'{value:g}' for value in got)}] in row {row}",
            "give corners in pixels, not width and height and not shares of the image",
        )


class TooManyObjects(InputError):
    """Refuse an image with more objects than answers can hold."""

    code = "input.too_many_objects"

    def __init__(self, column: str, row: int, count: int) -> None:
        wanted = f"at most {OBJECTS} objects an image in column {column!r}"
        super().__init__(wanted, f"{count} in row {row}", "cut the image into smaller ones")


def canonical(values: pl.Series) -> pl.Series:
    """Bring a column of objects into the one form that is kept.

    A cell is a list of structs with `label` and `box`, or with `label`, `x1`, `y1`, `x2`, `y2`; or
    the same as a text in JSON, as in a CSV file. An empty list is an image without objects, a
    missing value one of which nobody knows.

    Raises:
        WrongObject: a cell is something else, or a number of a box is none.
    Example:
        >>> cells = pl.Series("seen", ['[{"label": "cat", "box": [0, 1, 5, 6]}]', "[]"])
        >>> canonical(cells).to_list()
        [[{'label': 'cat', 'box': [0.0, 1.0, 5.0, 6.0]}], []]
    """
    cells = values.to_list()
    if values.dtype == pl.String:
        cells = [_parsed(cell, values.name, row) for row, cell in enumerate(cells)]
    made = [_cell(cell, values.name, row) for row, cell in enumerate(cells)]
    return pl.Series(values.name, made, dtype=BOXES)


def refuse(column: pl.Series, size: tuple[int, int] | None) -> None:
    """Refuse boxes without area or beyond the image, and too many of them.

    Args:
        column: In the form of `canonical`.
        size: Height and width of the images in pixels, where known.
    Raises:
        WrongBox, TooManyObjects: the first that there is.
    """
    height, width = size or (math.inf, math.inf)
    for row, cell in enumerate(column.to_list()):
        if len(cell or ()) > OBJECTS:
            raise TooManyObjects(column.name, row, len(cell))
        for x1, y1, x2, y2 in (one["box"] for one in cell or ()):
            if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
                raise WrongBox(column.name, row, size or (0, 0), (x1, y1, x2, y2))


def _parsed(cell: str | None, column: str, row: int) -> Any:
    try:
        return None if cell is None else json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise WrongObject(column, row, cell) from error


def _cell(cell: Any, column: str, row: int) -> list[dict[str, Any]] | None:
    if cell is None:
        return None
    if not isinstance(cell, list):
        raise WrongObject(column, row, f"{cell!r}")
    return [_object(one, column, row) for one in cell]


def _object(one: Any, column: str, row: int) -> dict[str, Any]:
    """Read one object; whatever a struct says besides is refused, since it would be lost."""
    if not isinstance(one, dict):
        raise WrongObject(column, row, f"{one!r}")
    given = {key: value for key, value in one.items() if value is not None}
    if given.keys() == {"label", "box"}:
        box = given["box"]
    elif given.keys() == {"label", *_CORNERS}:
        box = [given[corner] for corner in _CORNERS]
    else:
        raise WrongObject(column, row, f"{{{', '.join(map(str, given))}}}")
    numbers = isinstance(box, list) and len(box) == BOX and all(map(_finite, box))
    if not numbers:
        raise WrongObject(column, row, f"{box!r}", "a box of four finite numbers")
    if isinstance(given["label"], bool | float | list | dict):
        raise WrongObject(column, row, f"{given['label']!r}", "a label that is a text")
    return {"label": str(given["label"]), "box": [float(value) for value in box]}


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
