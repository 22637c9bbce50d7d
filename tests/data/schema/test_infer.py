import math

import numpy as np
import polars as pl
import pytest

from instar.core.data import Kind, Role, Task, TaskKind
from instar.core.errors import InputError, UnknownName
from instar.core.policy import DataSettings
from instar.data import preprocessing
from instar.data.schema import complete_task, conform, infer_schema, infer_task, revise
from instar.data.schema.errors import NoLabels, NotFinite, OneClass, WrongClasses, WrongType

FRAME = pl.DataFrame(
    {
        "when": ["2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04"],
        "x": [4.0, None, 1.0, 2.0],
        "c": ["b", "a", "b", None],
        "code": [10, 9, 10, 9],
        "flag": [True, False, True, False],
        "note": ["p", "q", "r", "s"],
        "up": ["late", "on time", "late", None],
    }
)
SETTINGS = DataSettings(ignore=("note",), categories=("code",))


@pytest.fixture
def task():
    return infer_task(FRAME, TaskKind.BINARY, "up", time="when")


def test_infer_schema_learns_roles_kinds_and_values(task):
    schema = infer_schema(FRAME, task, SETTINGS)
    roles = {column.name: column.role.value for column in schema.columns}
    assert roles == {
        "when": "time", "x": "feature", "c": "feature", "code": "feature",
        "flag": "feature", "note": "ignored", "up": "target",
    }  # fmt: skip
    assert (schema["x"].low, schema["x"].high, schema["x"].missing) == (1.0, 4.0, 0.25)
    assert schema["c"].categories == ("a", "b")
    assert schema["code"].categories == ("9", "10")
    assert schema["flag"].kind is Kind.NUMBER
    assert schema["up"].categories == task.classes == ("late", "on time")


def test_infer_schema_named_features_leave_the_rest_ignored(task):
    schema = infer_schema(FRAME, task, DataSettings(features=("x",)))
    assert [column.name for column in schema.features] == ["x"]
    assert schema["c"].role is Role.IGNORED


def test_infer_schema_image_is_seen_in_its_bytes(png):
    frame = pl.DataFrame({"image": [png(mode="RGB")] * 2, "file_name": ["1", "2"], "y": [0, 1]})
    schema = infer_schema(frame, infer_task(frame, TaskKind.BINARY, "y"), DataSettings())
    assert (schema["image"].size, schema["image"].mode) == ((4, 6), "RGB")
    assert schema["file_name"].role is Role.IGNORED


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_infer_schema_number_that_is_none_is_refused(wrong):
    frame = pl.DataFrame({"x": [1.0, wrong, 2.0], "y": [0, 1, 0]})
    task = infer_task(frame, TaskKind.BINARY, "y")
    with pytest.raises(NotFinite, match="row 1"):
        infer_schema(frame, task, DataSettings())


def test_infer_schema_dates_as_feature_are_refused(task):
    frame = FRAME.with_columns(day=pl.col("when").str.to_date())
    with pytest.raises(WrongType, match="'day'"):
        infer_schema(frame, task, SETTINGS)


@pytest.mark.parametrize("settings", [{"ignore": ("nope",)}, {"features": ("nope",)}])
def test_infer_schema_unknown_column_is_refused(task, settings):
    with pytest.raises(UnknownName, match="nope"):
        infer_schema(FRAME, task, DataSettings(**settings))


def test_infer_schema_no_rows_is_refused(task):
    with pytest.raises(InputError, match="at least one row"):
        infer_schema(FRAME.clear(), task, SETTINGS)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [([1, 0, 2], ("0", "1", "2")), ([10.0, 9.0, 9.0], ("9", "10")), (["b", "a", None], ("a", "b"))],
)
def test_infer_task_sorts_classes(labels, classes):
    assert infer_task(pl.DataFrame({"y": labels}), TaskKind.MULTICLASS, "y").classes == classes


def test_infer_task_takes_the_order_given():
    task = infer_task(FRAME, TaskKind.BINARY, "up", classes=("on time", "late"))
    assert task.classes == ("on time", "late")


@pytest.mark.parametrize(
    ("labels", "kind", "error"),
    [
        ([None, None], TaskKind.BINARY, NoLabels),
        (["a", "a"], TaskKind.BINARY, OneClass),
        (["a", "b", "c"], TaskKind.BINARY, WrongClasses),
    ],
)
def test_infer_task_unusable_labels_are_refused(labels, kind, error):
    with pytest.raises(error):
        infer_task(pl.DataFrame({"y": labels}, schema={"y": pl.String}), kind, "y")


def test_infer_task_strange_class_is_refused():
    with pytest.raises(WrongClasses, match="late"):
        infer_task(FRAME, TaskKind.BINARY, "up", classes=("on time", "delayed"))


def test_infer_task_unknown_target_is_refused():
    with pytest.raises(UnknownName, match="did you mean 'up'"):
        infer_task(FRAME, TaskKind.BINARY, "upp")


def test_revise_same_features_keep_the_schema(task):
    schema = infer_schema(FRAME, task, SETTINGS)
    assert revise(schema, FRAME, task, ("flag", "code", "c", "x")) is schema


def test_revise_promotes_and_retires_columns(task):
    schema = infer_schema(FRAME, task, SETTINGS)
    revised = revise(schema, FRAME.with_columns(x=pl.lit(99.0)), task, ("x", "note"))
    assert [column.name for column in revised.features] == ["x", "note"]
    assert revised["x"] == schema["x"]
    assert revised["note"].categories == ("p", "q", "r", "s")
    assert revised["c"].role is Role.IGNORED


def several(**columns):
    table = {"x": [1.0, 2.0, 3.0], "a": [0, 1, None], "b": [True, None, False]}
    return pl.DataFrame({**table, **columns})


SEVERAL = Task(TaskKind.MULTILABEL, targets=("a", "b"))


def test_several_labels_stay_columns_of_their_own():
    task = complete_task(several(), SEVERAL)
    schema = infer_schema(several(), task, DataSettings())
    assert task.classes == ("a", "b")
    assert [(c.name, c.kind, c.dtype) for c in schema.of(Role.TARGET)] == [
        ("a", Kind.NUMBER, "Float64"),
        ("b", Kind.NUMBER, "Float64"),
    ]
    assert [c.name for c in schema.features] == ["x"]
    frame = conform(several(), schema, task, ("x",))
    assert frame["b"].to_list() == [1.0, None, 0.0]
    read = preprocessing.labels(frame, task)
    np.testing.assert_array_equal(read, [[0, 1], [1, np.nan], [np.nan, 0]])


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({"a": [0, 2, 1]}, WrongClasses),
        ({"a": ["no", "yes", "no"]}, WrongClasses),
        ({"a": [1, 1, None]}, OneClass),
        ({"b": [None, None, None]}, NoLabels),
    ],
)
def test_several_labels_that_are_no_labels_are_refused(columns, error):
    with pytest.raises(error, match=r"'[ab]'"):
        complete_task(several(**columns), SEVERAL)


def test_fresh_rows_with_another_mark_are_refused():
    task = complete_task(several(), SEVERAL)
    schema = infer_schema(several(), task, DataSettings())
    with pytest.raises(WrongClasses, match="'a'"):
        conform(several(a=[0, 1, 5]), schema, task, ("x",))
    alone = several(a=[None] * 3, b=[None] * 3)
    with pytest.raises(NoLabels):
        conform(alone, schema, task, ("x",))
