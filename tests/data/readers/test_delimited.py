import csv
import re

import pytest

from instar.data.readers.delimited import (
    RaggedRows,
    TwinColumns,
    WrongDelimiter,
    WrongEncoding,
    read,
)
from instar.data.readers.errors import EmptyFile


def write(path, text, encoding="utf-8"):
    file = path / "rows.csv"
    file.write_bytes(text.encode(encoding))
    return file


def test_read_every_spelling_of_missing_is_missing(tmp_path):
    frame = read(write(tmp_path, 'x,c\n1,a\n,b\nNA,""\nNaN,NA\nnan,d\nnull,null\n'))
    assert frame["x"].to_list() == [1, None, None, None, None, None]
    assert frame["c"].to_list() == ["a", "b", None, None, "d", None]


def test_read_agrees_with_the_standard_library_on_quotes(tmp_path):
    text = 'name,note\r\n"a, b","line one\nline two"\r\n"say ""hi""",plain\r\n'
    path = write(tmp_path, text)
    with path.open(newline="") as file:
        wanted = list(csv.DictReader(file))
    assert read(path).to_dicts() == wanted


def test_read_byte_order_mark_is_no_part_of_a_name(tmp_path):
    assert read(write(tmp_path, "x,y\n1,2\n", "utf-8-sig")).columns == ["x", "y"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "cp1252"])
def test_read_other_encoding_is_refused_with_its_line(tmp_path, encoding):
    path = write(tmp_path, "city,n\nRoma,1\nKöln,2\n", encoding)
    with pytest.raises(WrongEncoding, match=r"line 3|line 1"):
        read(path)


@pytest.mark.parametrize(("row", "fields"), [("1,2", 2), ("1,2,3,4", 4), ('"a,b",2', 2)])
def test_read_ragged_row_is_refused_with_its_line(tmp_path, row, fields):
    path = write(tmp_path, f'a,b,c\n1,"x,\ny",3\n{row}\n4,5,6\n')
    with pytest.raises(RaggedRows, match=rf"got {fields} in line 3 of rows\.csv"):
        read(path)


@pytest.mark.parametrize(("sign", "told"), [(";", "';'"), ("\t", "a tab"), ("|", "'|'")])
def test_read_other_delimiter_is_refused_by_its_name(tmp_path, sign, told):
    path = write(tmp_path, f'"a"{sign}b\n1{sign}2,5\n')
    with pytest.raises(WrongDelimiter, match=rf"got {re.escape(told)} between the names in rows"):
        read(path)
    assert read(write(tmp_path, f"a,b{sign}c\n1,2\n")).columns == ["a", f"b{sign}c"]
    assert read(write(tmp_path, "a\n1;2\n")).width == 1  # only the header is looked at


def test_read_name_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(TwinColumns, match="'x' twice"):
        read(write(tmp_path, "x,y,x\n1,2,3\n"))


@pytest.mark.parametrize("text", ["", "\n", "x,y\n"])
def test_read_file_without_rows_is_refused(tmp_path, text):
    with pytest.raises(EmptyFile):
        read(write(tmp_path, text))
