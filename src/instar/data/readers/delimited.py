"""CSV files: UTF-8, comma, one header line, every row as long as the header."""

from __future__ import annotations

import codecs
import io
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from instar.core.errors import InputError
from instar.data.readers.errors import BrokenFile, EmptyFile

TAB = "\t"
OTHERS = (";", TAB, "|")  # what divides fields elsewhere
MISSING = ["", "NA", "NaN", "nan", "null"]


class WrongEncoding(InputError):
    """Refuse text that is not UTF-8, and say where it stops being it."""

    code = "input.encoding"

    def __init__(self, name: str, line: int) -> None:
        super().__init__("UTF-8", f"other bytes in line {line} of {name}", "convert it to UTF-8")


class WrongDelimiter(InputError):
    """Refuse a header whose names something else than a comma divides."""

    code = "input.delimiter"

    def __init__(self, name: str, sign: str) -> None:
        got = f"{'a tab' if sign == TAB else repr(sign)} between the names in {name}"
        super().__init__("a comma between fields", got, "write it with commas, or as Parquet")


class RaggedRows(InputError):
    """Refuse rows that are longer or shorter than the header."""

    code = "input.ragged_rows"

    def __init__(self, name: str, line: int, fields: int, wanted: int, rows: int) -> None:
        got = f"{fields} in line {line} of {name} ({rows} such lines)"
        super().__init__(f"{wanted} fields in every line", got, "quote commas inside fields")


class TwinColumns(InputError):
    """Refuse a header in which one name stands twice."""

    code = "input.twin_columns"

    def __init__(self, name: str, column: str) -> None:
        super().__init__("a name once", f"column {column!r} twice in {name}", "rename one")


def read(path: Path) -> pl.DataFrame:
    """Read one CSV file whole; times stay texts until a schema asks for them."""
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise EmptyFile(path.name)
    _refuse_encoding(data, path.name)
    _refuse_delimiter(data, path.name)
    _refuse_ragged(data, path.name)
    try:
        frame = pl.read_csv(io.BytesIO(data), null_values=MISSING, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise BrokenFile(path.name, "CSV") from error
    _refuse_twins(data, path.name)
    if frame.is_empty():
        raise EmptyFile(path.name)
    return frame


def _refuse_encoding(data: bytes, name: str) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WrongEncoding(name, data.count(b"\n", 0, error.start) + 1) from error
    if b"\0" in data:  # UTF-16 of plain English passes as UTF-8 with NULs between the letters
        raise WrongEncoding(name, data.count(b"\n", 0, data.index(b"\0")) + 1)


def _refuse_delimiter(data: bytes, name: str) -> None:
    """Look at the header alone: read with commas, the whole of it would be one name."""
    header = data.lstrip().split(b"\n", 1)[0].decode()
    if "," not in header and (found := [sign for sign in OTHERS if sign in header]):
        raise WrongDelimiter(name, found[0])


def _refuse_ragged(data: bytes, name: str) -> None:
    """Count the fields of every line. Polars fills short lines with nulls and says nothing."""
    letters = np.frombuffer(data if data.endswith(b"\n") else data + b"\n", np.uint8)
    outside = np.bitwise_xor.accumulate(letters == ord('"')) ^ True
    ends = np.flatnonzero((letters == ord("\n")) & outside)
    commas = np.flatnonzero((letters == ord(",")) & outside)
    fields = np.diff(np.searchsorted(commas, ends), prepend=0) + 1
    width = np.diff(ends, prepend=-1) - 1  # a blank line has none, or a carriage return
    wrong = np.flatnonzero((fields != fields[0]) & (width > 1))
    if len(wrong):
        first = int(wrong[0])
        raise RaggedRows(name, first + 1, int(fields[first]), int(fields[0]), len(wrong))


def _refuse_twins(data: bytes, name: str) -> None:
    header = pl.read_csv(io.BytesIO(data), has_header=False, n_rows=1, infer_schema=False)
    column, times = Counter(header.row(0)).most_common(1)[0]
    if times > 1:
        raise TwinColumns(name, str(column))
