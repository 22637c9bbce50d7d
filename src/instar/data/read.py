"""Read whatever holds rows into one Polars frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from instar.core.errors import InputError
from instar.data.readers import READERS


class NoFile(InputError):
    """Refuse a path or pattern that leads to nothing."""

    code = "input.no_file"

    def __init__(self, name: str) -> None:
        super().__init__("a file or folder with rows", f"nothing at {name!r}", "check the path")


class UnknownFormat(InputError):
    """Refuse a file whose ending no reader knows. It is not opened."""

    code = "input.file_format"

    def __init__(self, name: str) -> None:
        known = ", ".join(f".{ending}" for ending in sorted(READERS) if ending != "folder")
        super().__init__(f"a folder of images, or a file ending in {known}", name, "convert it")


class UnequalFiles(InputError):
    """Refuse files under one pattern that do not have the same columns."""

    code = "input.unequal_files"

    def __init__(self, first: str, other: str, problem: str) -> None:
        got = f"{other} beside {first}: {problem}"
        super().__init__("files with the same columns and types", got, "read them apart")


class NoFrame(InputError):
    """Refuse an object that is neither a path nor a frame."""

    code = "input.no_frame"

    def __init__(self, got: str) -> None:
        super().__init__(
            "a path, a Polars frame or a pandas frame", got, "turn it into one of these"
        )


def read_frame(source: Any) -> pl.DataFrame:
    """Read a path, a glob pattern, a Polars frame or a pandas frame.

    Files: CSV (UTF-8, comma, one header line), Parquet, Arrow (Feather), and a directory with
    one folder of images per class. Several files of one pattern are put below each other in
    the order of their names. In CSV an empty field, NA, NaN, nan and null are missing values; in a
    pandas frame NaN is one.

    Raises:
        InputError: there is no such file, or it cannot be read whole.
    Example:
        >>> read_frame(pl.DataFrame({"x": [1.0, None]})).shape
        (2, 1)
    """
    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, str | Path):
        return _read_paths(str(source))
    if type(source).__module__.split(".")[0] == "pandas" and hasattr(source, "columns"):
        return pl.from_pandas(source.reset_index(drop=True), nan_to_null=True)
    raise NoFrame(f"a {type(source).__name__}")


def _read_paths(name: str) -> pl.DataFrame:
    path = Path(name)
    if name and path.exists():
        return _read_one(path)
    anchor = Path(path.anchor)
    paths = sorted(anchor.glob(str(path.relative_to(anchor)))) if name else []
    if not paths:
        raise NoFile(name)
    frames = [_read_one(found) for found in paths]
    for found, frame in zip(paths, frames, strict=True):
        _refuse_unequal(paths[0].name, frames[0], found.name, frame)
    columns = frames[0].columns
    return pl.concat([frame.select(columns) for frame in frames], how="vertical_relaxed")


def _refuse_unequal(name: str, first: pl.DataFrame, other: str, frame: pl.DataFrame) -> None:
    if strange := set(frame.columns) ^ set(first.columns):
        raise UnequalFiles(name, other, f"column {min(strange)!r} only in one")
    for column, wanted in first.schema.items():
        got = frame.schema[column]
        alike = got == wanted or pl.Null in (got, wanted)
        if not (alike or (got.is_numeric() and wanted.is_numeric())):
            raise UnequalFiles(name, other, f"column {column!r} is {got} there, {wanted} here")


def _read_one(path: Path) -> pl.DataFrame:
    ending = "folder" if path.is_dir() else path.suffix.removeprefix(".").lower()
    if ending not in READERS:
        raise UnknownFormat(path.name)
    return READERS[ending](path)
