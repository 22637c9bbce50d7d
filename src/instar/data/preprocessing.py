"""Raw columns to a network's inputs, by rules fitted on training rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.data import (
    CategoryColumn,
    Column,
    ImageColumn,
    Kind,
    NumberColumn,
    Preprocessing,
    Role,
    Schema,
    Task,
)
from instar.core.policy import DataSettings
from instar.data.images import pixels
from instar.data.schema.tasks import target_of
from instar.data.schema.text import as_text


def fit(frame: pl.DataFrame, schema: Schema, settings: DataSettings) -> Preprocessing:
    """Learn fill values, scales and codes from training rows.

    Numbers go to [-1, 1] by their extremes (`minmax`) or to mean 0 and deviation 1
    (`standard`); a column without spread becomes 0. Pixels go to [-1, 1].

    Example:
        >>> from instar.core.data import TaskKind
        >>> from instar.data.schema import infer_schema, infer_task
        >>> frame = pl.DataFrame({"x": [0.0, 5.0, 10.0, None], "y": [0, 1, 0, 1]})
        >>> schema = infer_schema(frame, infer_task(frame, TaskKind.BINARY, "y"), DataSettings())
        >>> fit(frame, schema, DataSettings()).numbers
        (NumberColumn(name='x', fill=5.0, scale=0.2, shift=-1.0),)
    """
    images = schema.of(Role.FEATURE, Kind.IMAGE)
    return Preprocessing(
        numbers=tuple(
            _fit_number(frame[column.name], settings)
            for column in schema.of(Role.FEATURE, Kind.NUMBER)
        ),
        categories=tuple(
            _fit_category(frame[column.name], column, settings)
            for column in schema.of(Role.FEATURE, Kind.CATEGORY)
        ),
        image=_fit_image(images[0]) if images else None,
        onehot=settings.encode == "onehot",
    )


def columns(frame: pl.DataFrame, preprocessing: Preprocessing) -> dict[str, NDArray[Any]]:
    """Lay out raw columns as a bundle reads them; an absent column is missing throughout.

    Returns:
        float64 (n,) with NaN for missing, object (n,) of texts with "" for missing, and uint8
        (n, h, w) or (n, h, w, c).
    """
    out: dict[str, NDArray[Any]] = {}
    for number in preprocessing.numbers:
        out[number.name] = _raw_number(frame, number.name)
    for category in preprocessing.categories:
        out[category.name] = _raw_texts(frame, category.name)
    if image := preprocessing.image:
        out[image.name] = pixels(frame[image.name], (image.height, image.width), image.mode)
    return out


def inputs(frame: pl.DataFrame, preprocessing: Preprocessing) -> tuple[NDArray[Any], ...]:
    """Make the network's arguments, in the order of `InputSpec`; parts that are empty are left out.

    Returns:
        float32 (n, numbers), int64 (n, categories), float32 (n, channels, height, width).
    """
    parts: list[NDArray[Any]] = []
    codes = [_codes(frame, category) for category in preprocessing.categories]
    marks = [
        code == place
        for code, category in zip(codes, preprocessing.categories, strict=True)
        for place in range(1, len(category.values) + 1)
        if preprocessing.onehot
    ]
    if preprocessing.numbers or marks:
        parts.append(_numbers(frame, preprocessing.numbers, marks))
    if codes and not preprocessing.onehot:
        parts.append(np.stack(codes, axis=1))
    if preprocessing.image:
        parts.append(_image(frame, preprocessing.image))
    return tuple(parts)


def labels(frame: pl.DataFrame, task: Task) -> NDArray[Any]:
    """Code the target: int64 (n,) places in `task.classes`, or float32 (n,) for a regression.

    Other kinds have other forms, which stand in `data.schema.tasks`.

    Raises:
        InputError: a row has no label, or one that is not a class.
    """
    return target_of(task).read(frame, task)


def _fit_number(values: pl.Series, settings: DataSettings) -> NumberColumn:
    numbers = values.drop_nulls().to_numpy().astype(np.float64)
    if not len(numbers):
        return NumberColumn(values.name, fill=0.0, scale=1.0, shift=0.0)
    if settings.fill == "mode":
        seen, counts = np.unique(numbers, return_counts=True)
        fill = float(seen[counts.argmax()])
    else:
        fill = float(np.median(numbers) if settings.fill == "median" else numbers.mean())
    low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        return NumberColumn(values.name, fill, scale=1.0, shift=-low)
    if settings.scale == "standard":
        scale = 1.0 / float(numbers.std())
        return NumberColumn(values.name, fill, scale, shift=-float(numbers.mean()) * scale)
    scale = 2.0 / (high - low)
    return NumberColumn(values.name, fill, scale, shift=-1.0 - low * scale)


def _fit_category(values: pl.Series, column: Column, settings: DataSettings) -> CategoryColumn:
    counts = dict(values.drop_nulls().value_counts().iter_rows())
    often = (name for name in column.categories if counts.get(name, 0) >= settings.rare)
    return CategoryColumn(column.name, tuple(often))


def _fit_image(column: Column) -> ImageColumn:
    height, width = column.size or (0, 0)
    return ImageColumn(column.name, height, width, column.mode or "L", scale=2 / 255, shift=-1.0)


def _raw_number(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    if name not in frame.columns:
        return np.full(frame.height, np.nan)
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _raw_texts(frame: pl.DataFrame, name: str) -> NDArray[np.object_]:
    if name not in frame.columns:
        return np.full(frame.height, "", dtype=object)
    return as_text(frame[name]).fill_null("").to_numpy().astype(object)


def _numbers(
    frame: pl.DataFrame, numbers: Sequence[NumberColumn], marks: Sequence[NDArray[np.bool_]]
) -> NDArray[np.float32]:
    """Fill and scale columns, and put marks of 0 and 1 beside them: (n, numbers + marks)."""
    made = np.empty((frame.height, len(numbers) + len(marks)), np.float32)
    there = {number.name for number in numbers} & set(frame.columns)
    cast = frame.select(pl.col(there).cast(pl.Float64))  # all at once: a query has its price
    for place, number in enumerate(numbers):
        raw = cast[number.name].to_numpy() if number.name in there else np.array([np.nan])
        present = np.where(np.isnan(raw), number.fill, raw)
        made[:, place] = present * number.scale + number.shift
    for place, mark in enumerate(marks, len(numbers)):
        made[:, place] = mark
    return made


def _codes(frame: pl.DataFrame, category: CategoryColumn) -> NDArray[np.int64]:
    if category.name not in frame.columns:
        return np.zeros(frame.height, np.int64)
    texts = as_text(frame[category.name])
    places = range(1, len(category.values) + 1)
    return texts.replace_strict(
        list(category.values), places, default=0, return_dtype=pl.Int64
    ).to_numpy()


def _image(frame: pl.DataFrame, image: ImageColumn) -> NDArray[np.float32]:
    raw = pixels(frame[image.name], (image.height, image.width), image.mode)
    raw = raw[:, None] if raw.ndim == 3 else np.moveaxis(raw, -1, 1)  # (n, c, h, w)
    return np.ascontiguousarray(raw * np.float32(image.scale) + np.float32(image.shift))
