import pandas as pd
import polars as pl
import pytest

from instar.core.errors import InputError
from instar.data import readers
from instar.data.read import NoFile, NoFrame, UnequalFiles, UnknownFormat, read_frame
from instar.testing.contracts.families import family_files, unknown_name

FRAME = pl.DataFrame({"x": [1.0, None, 3.0], "c": ["a", "b", None], "y": [1, 0, 1]})


def test_readers_every_file_is_in_the_table():
    family_files(readers.READERS, readers, besides={"errors"})
    unknown_name(readers.READERS)


@pytest.mark.parametrize("ending", ["csv", "parquet", "arrow", "feather"])
def test_read_frame_file_gives_the_rows_written(tmp_path, ending):
    path = tmp_path / f"rows.{ending}"
    write = {"csv": FRAME.write_csv, "parquet": FRAME.write_parquet}.get(ending, FRAME.write_ipc)
    write(path)
    assert read_frame(path).equals(FRAME)
    assert read_frame(str(path)).equals(FRAME)


def test_read_frame_pattern_puts_files_in_order_of_names(tmp_path):
    for name, value in (("b", 2.0), ("a", 1.0)):
        pl.DataFrame({"x": [value]}).write_parquet(tmp_path / f"{name}.parquet")
    assert read_frame(tmp_path / "*.parquet")["x"].to_list() == [1.0, 2.0]


def test_read_frame_pandas_nan_becomes_missing():
    frame = pd.DataFrame({"x": [1.0, float("nan")], "c": ["a", None]}, index=[7, 9])
    assert read_frame(frame).to_dicts() == [{"x": 1.0, "c": "a"}, {"x": None, "c": None}]


def test_read_frame_polars_frame_comes_back():
    assert read_frame(FRAME) is FRAME


@pytest.mark.parametrize("name", ["none.parquet", "*.csv", ""])
def test_read_frame_nothing_there_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoFile):
        read_frame(name)


def test_read_frame_pickle_is_refused_unopened(tmp_path):
    path = tmp_path / "rows.pkl"
    path.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(UnknownFormat, match=r"rows\.pkl"):
        read_frame(path)


def test_read_frame_other_object_is_refused():
    with pytest.raises(NoFrame, match="list"):
        read_frame([1, 2])


@pytest.mark.parametrize("other", [{"z": [1.0]}, {"x": ["text"]}])
def test_read_frame_unequal_files_are_refused(tmp_path, other):
    pl.DataFrame({"x": [1.0]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame(other).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(UnequalFiles, match=r"b\.parquet"):
        read_frame(tmp_path / "*.parquet")


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_read_frame_truncated_file_is_refused(tmp_path, ending, share):
    path = tmp_path / f"rows.{ending}"
    frame = pl.DataFrame({"x": range(1000)})
    (frame.write_parquet if ending == "parquet" else frame.write_ipc)(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=f"rows.{ending}") as caught:
        read_frame(path)
    assert caught.value.code == ("input.empty_file" if share == 0 else "input.broken_file")


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_read_frame_file_without_rows_is_refused(tmp_path, ending):
    path = tmp_path / f"rows.{ending}"
    frame = pl.DataFrame({"x": []}, schema={"x": pl.Float64})
    (frame.write_parquet if ending == "parquet" else frame.write_ipc)(path)
    with pytest.raises(InputError, match="none in rows"):
        read_frame(path)
