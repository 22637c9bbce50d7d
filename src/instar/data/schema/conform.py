"""Hold fresh rows against a schema: pass them on in canonical types, or say what is wrong."""

from __future__ import annotations

from typing import Literal

import polars as pl

from instar.core.data import Column, Kind, Role, Schema, Task
from instar.data.boxes import canonical
from instar.data.images import pixels
from instar.data.schema.errors import (
    ExtraColumn,
    MissingColumn,
    NoRows,
    UnknownCategory,
    WrongType,
)
from instar.data.schema.infer import refuse_infinite, revise
from instar.data.schema.tasks import target_of
from instar.data.schema.tasks.target import refuse_unknown
from instar.data.schema.text import as_text


def conform(
    frame: pl.DataFrame,
    schema: Schema,
    task: Task,
    features: tuple[str, ...],
    *,
    unknown_category: Literal["refuse", "other", "quarantine"] = "refuse",
    new_classes: Literal["refuse", "admit"] = "refuse",
    labelled: bool = True,
) -> pl.DataFrame:
    """Bring rows into the schema's form: Float64 numbers, String categories and classes.

    Times become naive UTC microseconds, ignored columns stay as they are, columns come in the
    schema's order. A category the champion never saw stays in place unless it is refused.

    Args:
        features: The columns that shall be read; where they differ from the schema's, the
            schema is revised first.
        labelled: Whether labels are wanted; without, the target is looked at by nobody.
    Raises:
        InputError: columns, types, values or labels make the rows unusable as a whole.
    Example:
        >>> from instar.core.data import TaskKind
        >>> from instar.core.policy import DataSettings
        >>> from instar.data.schema import infer_schema, infer_task
        >>> old = pl.DataFrame({"x": [1, 3], "y": ["no", "yes"]})
        >>> task = infer_task(old, TaskKind.BINARY, "y")
        >>> schema = infer_schema(old, task, DataSettings())
        >>> conform(pl.DataFrame({"y": ["yes", "no"], "x": [2, None]}), schema, task, ("x",))
        ... # doctest: +ELLIPSIS
        shape: (2, 2)
        ...
    """
    if frame.is_empty():
        raise NoRows
    _match_names(frame, schema, features)
    schema = revise(schema, frame, task, features)
    columns = [
        _canonical(frame[column.name], column, task)
        for column in schema.columns
        if column.name in frame.columns
    ]
    frame = pl.DataFrame(columns)
    if unknown_category == "refuse":
        for column in schema.of(Role.FEATURE, Kind.CATEGORY):
            refuse_unknown(frame[column.name], column.categories, UnknownCategory)
    if labelled:
        target_of(task).check(frame, task, new_classes)
    return frame


def _match_names(frame: pl.DataFrame, schema: Schema, features: tuple[str, ...]) -> None:
    own = [column.name for column in schema.columns if _is_needed(column, features)]
    needed = [*own, *(name for name in features if name not in own)]
    known = {column.name for column in schema.columns}
    strange = [name for name in frame.columns if name not in known and name not in features]
    for name in needed:
        if name not in frame.columns:
            raise MissingColumn(name, strange, read=name in features)
    if strange:
        raise ExtraColumn(strange[0], known)


def _is_needed(column: Column, features: tuple[str, ...]) -> bool:
    if column.role is Role.FEATURE:
        return column.name in features
    return column.role is not Role.IGNORED


def _canonical(values: pl.Series, column: Column, task: Task) -> pl.Series:
    match column.role, column.kind:
        case Role.IGNORED, _:
            return values
        case Role.ID, _:
            return as_text(values)
        case Role.TIME, _:
            return _time(values)
        case Role.TARGET, Kind.IMAGE:
            return values  # masks are looked at as labels
        case Role.TARGET, Kind.BOXES:
            return canonical(values)
        case _, Kind.CATEGORY:
            return _category(values)
        case _, Kind.NUMBER:
            return _number(values)
    return _image(values, column)


def _number(values: pl.Series) -> pl.Series:
    if values.dtype == pl.String:
        numbers = values.str.strip_chars().cast(pl.Float64, strict=False)
        wrong = (numbers.is_null() & values.is_not_null()).arg_true()
        if len(wrong):
            row = int(wrong[0])
            raise WrongType(values.name, "numbers", f"{values[row]!r} in row {row}")
    elif values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null):
        numbers = values.cast(pl.Float64)
    else:
        raise WrongType(values.name, "numbers", f"{values.dtype}")
    refuse_infinite(numbers)
    return numbers


def _category(values: pl.Series) -> pl.Series:
    dtype = values.dtype
    if dtype.is_float():
        refuse_infinite(values)
    if dtype.is_nested() or dtype.is_temporal() or dtype == pl.Binary:
        raise WrongType(values.name, "texts", f"{dtype}")
    return as_text(values)


def _time(values: pl.Series) -> pl.Series:
    dtype = values.dtype
    if dtype == pl.String:
        try:
            values = values.str.to_datetime(time_unit="us", time_zone="UTC")
        except pl.exceptions.PolarsError as error:
            raise WrongType(values.name, "times in ISO 8601", "other texts") from error
        dtype = values.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        values = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    elif not (dtype.is_numeric() or dtype in (pl.Date, pl.Datetime)):
        raise WrongType(values.name, "times", f"{dtype}")
    return values if dtype.is_numeric() else values.cast(pl.Datetime("us"))


def _image(values: pl.Series, column: Column) -> pl.Series:
    if values.dtype != pl.Binary or column.size is None or column.mode is None:
        raise WrongType(values.name, "encoded images", f"{values.dtype}")
    for start in range(0, len(values), 256):  # decoded to be checked, not to be kept
        pixels(values.slice(start, 256), column.size, column.mode, first=start)
    return values
