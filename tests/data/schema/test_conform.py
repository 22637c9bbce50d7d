import math
from datetime import datetime

import polars as pl
import pytest

from instar.core.data import TaskKind
from instar.core.policy import DataSettings
from instar.data.images import BrokenImage, WrongImage
from instar.data.schema import conform, infer_schema, infer_task
from instar.data.schema.errors import (
    ExtraColumn,
    MissingColumn,
    NoLabels,
    NoRows,
    NotFinite,
    OneClass,
    UnknownCategory,
    UnknownLabel,
    WrongType,
)

OLD = pl.DataFrame(
    {
        "when": [datetime.fromisoformat(f"2013-01-0{day}") for day in (1, 2, 3)],
        "temp": [50.0, 60.0, None],
        "origin": ["JFK", "EWR", "LGA"],
        "note": ["p", "q", "r"],
        "up": ["no", "yes", "no"],
    }
)
TASK = infer_task(OLD, TaskKind.BINARY, "up", time="when")
SCHEMA = infer_schema(OLD, TASK, DataSettings(ignore=("note",)))
FEATURES = ("temp", "origin")


def held(frame, **given):
    return conform(frame, SCHEMA, TASK, FEATURES, **given)


def test_conform_own_rows_pass_and_twice_is_once():
    once = held(OLD)
    assert once.equals(OLD)
    assert held(once).equals(once)


def test_conform_gives_canonical_types_and_order():
    frame = OLD.select(
        "up",
        pl.col("temp").cast(pl.Int32),
        when=pl.col("when").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        origin=pl.col("origin").cast(pl.Categorical),
    )
    assert held(frame).equals(OLD.drop("note"))


def test_conform_time_with_zone_becomes_utc():
    frame = OLD.with_columns(pl.col("when").dt.replace_time_zone("America/New_York"))
    assert held(frame)["when"][0] == datetime.fromisoformat("2013-01-01T05:00")


def test_conform_numbers_in_quotes_are_numbers():
    assert held(OLD.with_columns(pl.col("temp").cast(pl.String)))["temp"].to_list()[0] == 50.0


def test_conform_renamed_column_is_named():
    with pytest.raises(MissingColumn, match="rename 'Temp' to 'temp'"):
        held(OLD.rename({"temp": "Temp"}))


@pytest.mark.parametrize("column", ["temp", "up", "when"])
def test_conform_missing_column_is_refused(column):
    with pytest.raises(MissingColumn, match=column):
        held(OLD.drop(column))


def test_conform_ignored_column_may_be_missing():
    assert held(OLD.drop("note")).columns == ["when", "temp", "origin", "up"]


def test_conform_extra_column_is_refused_with_the_nearest():
    with pytest.raises(ExtraColumn, match=r"'temp2' besides .near to 'temp'"):
        held(OLD.with_columns(temp2=pl.lit(1.0)))


def test_conform_text_among_numbers_is_refused_with_its_row():
    with pytest.raises(WrongType, match="'warm' in row 1"):
        held(OLD.with_columns(temp=pl.Series(["50", "warm", None])))


@pytest.mark.parametrize("column", ["temp", "origin", "when"])
def test_conform_other_type_is_refused(column):
    wrong = pl.Series([b"x", b"y", b"z"])
    with pytest.raises(WrongType, match=column):
        held(OLD.with_columns(wrong.alias(column)))


@pytest.mark.parametrize(("value", "what"), [(math.nan, "NaN"), (math.inf, "infinite")])
def test_conform_number_that_is_none_is_refused(value, what):
    with pytest.raises(NotFinite, match=f"1 {what} in column 'temp', first in row 2"):
        held(OLD.with_columns(temp=pl.Series([1.0, None, value])))


def test_conform_nan_in_an_ignored_column_is_nobodys_business():
    assert math.isnan(held(OLD.with_columns(note=pl.lit(math.nan)))["note"][0])


def test_conform_unknown_category_is_refused_unless_the_policy_lets_it():
    frame = OLD.with_columns(origin=pl.Series(["JFK", "JKF", "JKF"]))
    with pytest.raises(UnknownCategory, match=r"'JKF' .near to 'JFK'. in 2 rows, first in row 1"):
        held(frame)
    for way in ("other", "quarantine"):
        assert held(frame, unknown_category=way)["origin"].to_list() == ["JFK", "JKF", "JKF"]


def test_conform_unknown_label_is_refused_unless_the_policy_lets_it():
    frame = OLD.with_columns(up=pl.Series(["no", "yes", "maybe"]))
    with pytest.raises(UnknownLabel, match="'maybe' in 1 rows, first in row 2"):
        held(frame)
    with pytest.raises(UnknownLabel, match="a binary task cannot take a new class"):
        held(frame, new_classes="admit")


@pytest.mark.parametrize(
    ("labels", "error"), [([None] * 3, NoLabels), (["no", None, "no"], OneClass)]
)
def test_conform_labels_that_teach_nothing_are_refused(labels, error):
    with pytest.raises(error):
        held(OLD.with_columns(up=pl.Series(labels, dtype=pl.String)))


def test_conform_table_without_its_target_is_to_deliver_it():
    with pytest.raises(MissingColumn, match=r"a column .up.; got none; deliver it$"):
        held(OLD.drop("up"))
    with pytest.raises(MissingColumn, match="or leave it out of features"):
        held(OLD.drop("origin"))


def test_conform_no_rows_is_refused():
    with pytest.raises(NoRows):
        held(OLD.clear())


def test_conform_other_features_revise_the_schema():
    frame = conform(OLD, SCHEMA, TASK, ("temp", "note"))
    assert frame["note"].dtype == pl.String
    with pytest.raises(MissingColumn, match="gate"):
        conform(OLD, SCHEMA, TASK, ("temp", "gate"))


def test_conform_images_are_decoded_to_be_checked(png):
    old = pl.DataFrame({"image": [png(1), png(2)], "y": [0, 1]})
    task = infer_task(old, TaskKind.BINARY, "y")
    schema = infer_schema(old, task, DataSettings())
    assert conform(old, schema, task, ("image",)).height == 2
    for data, error in ((b"x", BrokenImage), (png(size=(5, 5)), WrongImage)):
        frame = old.with_columns(image=pl.Series([png(1), data]))
        with pytest.raises(error, match="row 1"):
            conform(frame, schema, task, ("image",))
