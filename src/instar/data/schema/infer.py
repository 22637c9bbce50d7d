"""Learn a schema and a task from rows."""

from __future__ import annotations

import dataclasses

import polars as pl

from instar.core.data import Column, Kind, Role, Schema, Task, TaskKind
from instar.core.errors import UnknownName
from instar.core.policy import DataSettings
from instar.data.images import MODES, WrongImage, decode, describe
from instar.data.schema.errors import NoRows, NotFinite, WrongType
from instar.data.schema.tasks import target_of
from instar.data.schema.text import in_order

FILE_NAME = "file_name"
"""The column beside an image that says where it came from; nobody learns from it."""


def infer_task(
    frame: pl.DataFrame,
    kind: TaskKind,
    target: str,
    time: str | None = None,
    id: str | None = None,  # noqa: A002 - the word of `Task`
    classes: tuple[str, ...] = (),
) -> Task:
    """Complete a task with the classes found in its target column.

    Args:
        classes: Their order, where the sorted one is not meant: binary is (negative, positive).
    Raises:
        InputError: the column is absent, has no labels, one class, or classes that do not fit.
    Example:
        >>> frame = pl.DataFrame({"up": [True, False, None]})
        >>> infer_task(frame, TaskKind.BINARY, "up").classes
        ('false', 'true')
    """
    return complete_task(frame, Task(kind, target, classes, time, id))


def complete_task(frame: pl.DataFrame, wanted: Task) -> Task:
    """Complete a task, as the policy tells it, with what its columns show.

    Raises:
        InputError: a column is absent, or its labels do not fit.
    """
    for name in (*wanted.columns, wanted.time, wanted.id):
        if name is not None and name not in frame.columns:
            raise UnknownName("column", name, frame.columns)
    return target_of(wanted).infer(frame, wanted)


def infer_schema(frame: pl.DataFrame, task: Task, settings: DataSettings) -> Schema:
    """Learn roles, kinds, categories, ranges and missing shares from rows.

    Without `settings.features` every column is one that is not the target, the time, the id or
    ignored. Texts are categories, numbers and booleans numbers, bytes encoded images. A
    `file_name` beside an image is ignored.

    Raises:
        InputError: there are no rows, a named column is absent, or a feature has a type that no
            network reads.
    Example:
        >>> frame = pl.DataFrame({"x": [1, 3], "c": ["b", "a"], "y": [0, 1]})
        >>> schema = infer_schema(frame, infer_task(frame, TaskKind.BINARY, "y"), DataSettings())
        >>> [(column.name, column.kind.value, column.categories) for column in schema.features]
        [('x', 'number', ()), ('c', 'category', ('a', 'b'))]
    """
    if frame.is_empty():
        raise NoRows
    for name in (*settings.features, *settings.ignore, *settings.categories):
        if name not in frame.columns:
            raise UnknownName("column", name, frame.columns)
    roles = {name: _role(name, frame, task, settings) for name in frame.columns}
    return Schema(
        tuple(
            describe_column(frame[name], roles[name], task, as_category=name in settings.categories)
            for name in frame.columns
        )
    )


def revise(schema: Schema, frame: pl.DataFrame, task: Task, features: tuple[str, ...]) -> Schema:
    """Give the columns new roles where other features are meant; learn those that are new.

    What stays a feature keeps its categories and ranges, since weights depend on them. What is
    no feature any more is ignored. With the same features the schema is returned as it is.
    """
    if set(features) == {column.name for column in schema.features}:
        return schema
    for name in features:
        if name not in frame.columns:
            raise UnknownName("column", name, frame.columns)
    kept = {column.name: column for column in schema.columns}
    for name, column in kept.items():
        if column.role is Role.FEATURE and name not in features:
            kept[name] = dataclasses.replace(column, role=Role.IGNORED)
    for name in features:
        if name not in kept or kept[name].role is not Role.FEATURE:
            kept[name] = describe_column(frame[name], Role.FEATURE, task)
    return Schema(tuple(kept.values()))


def _role(name: str, frame: pl.DataFrame, task: Task, settings: DataSettings) -> Role:
    if name in task.columns:
        return Role.TARGET
    own = {task.time: Role.TIME, task.id: Role.ID}
    if name in own:
        return own[name]
    if settings.features:
        return Role.FEATURE if name in settings.features else Role.IGNORED
    images = any(dtype == pl.Binary for dtype in frame.dtypes)
    if name in settings.ignore or (images and name == FILE_NAME):
        return Role.IGNORED
    return Role.FEATURE


def describe_column(
    values: pl.Series, role: Role, task: Task, *, as_category: bool = False
) -> Column:
    """Learn one column: its kind, and what its values may be."""
    name, missing = values.name, values.null_count() / max(len(values), 1)
    kind = _kind(values, role, task, as_category=as_category)
    if role in (Role.IGNORED, Role.ID, Role.TIME):
        return Column(name, kind, role, str(values.dtype), missing=missing)
    match kind:
        case Kind.CATEGORY:
            known = in_order(values) if role is Role.FEATURE else task.classes
            return Column(name, kind, role, "String", known, missing=missing)
        case Kind.NUMBER:
            low, high = _range(values)
            return Column(name, kind, role, "Float64", (), low, high, missing)
        case Kind.IMAGE if role is Role.TARGET:  # its classes count, not how it was saved
            return Column(name, kind, role, "Binary", task.classes, missing=missing)
        case Kind.BOXES:
            return Column(name, kind, role, "List", task.classes, missing=missing)
        case Kind.IMAGE:
            size, mode = _image_form(values)
            return Column(name, kind, role, "Binary", missing=missing, size=size, mode=mode)


def _kind(values: pl.Series, role: Role, task: Task, *, as_category: bool) -> Kind:
    dtype = values.dtype
    if role is Role.TARGET:
        return target_of(task).kind
    if as_category or dtype in (pl.String, pl.Categorical, pl.Enum):
        return Kind.CATEGORY
    if dtype == pl.Binary:
        return Kind.IMAGE
    if role is not Role.FEATURE or dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        return Kind.NUMBER
    raise WrongType(values.name, "numbers, texts or images (or it under data.ignore)", f"{dtype}")


def _range(values: pl.Series) -> tuple[float | None, float | None]:
    numbers = values.cast(pl.Float64)
    refuse_infinite(numbers)
    low, high = numbers.min(), numbers.max()
    return (
        float(low) if isinstance(low, float) else None,
        float(high) if isinstance(high, float) else None,
    )


def refuse_infinite(numbers: pl.Series) -> None:
    """Refuse a Float64 column that holds NaN or infinities."""
    for what, wrong in (("NaN", numbers.is_nan()), ("infinite", numbers.is_infinite())):
        rows = wrong.fill_null(value=False).arg_true()
        if len(rows):
            raise NotFinite(numbers.name, what, len(rows), int(rows[0]))


def _image_form(values: pl.Series) -> tuple[tuple[int, int], str]:
    first = values.is_not_null().arg_true()
    row = int(first[0]) if len(first) else 0
    image = decode(values[row], values.name, row)
    size = (image.height, image.width)
    if image.mode not in MODES:
        raise WrongImage(values.name, row, " or ".join(MODES), describe(size, str(image.mode)))
    return size, str(image.mode)
