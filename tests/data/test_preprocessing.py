import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from instar.core.data import Task, TaskKind
from instar.core.errors import InputError
from instar.core.policy import DataSettings
from instar.data.preprocessing import columns, fit, inputs, labels
from instar.data.schema import infer_schema, infer_task

RNG = np.random.default_rng(0)
FRAME = pl.DataFrame(
    {
        "x": RNG.normal(50, 20, 200),
        "n": RNG.integers(0, 5, 200).astype(float),
        "c": RNG.choice(["a", "b", "rare"], 200, p=[0.6, 0.39, 0.01]),
        "y": RNG.choice(["no", "yes"], 200),
    }
)
TASK = infer_task(FRAME, TaskKind.BINARY, "y")
HOLES = pl.DataFrame(
    {"x": [None, 10.0], "n": [1.0, None], "c": ["zebra", None], "y": ["no", "yes"]}
)


def fitted(**settings):
    given = DataSettings(**settings)
    return fit(FRAME, infer_schema(FRAME, TASK, given), given)


def test_inputs_minmax_agree_with_scikit_learn():
    numbers, codes = inputs(FRAME, fitted())
    wanted = MinMaxScaler((-1, 1)).fit_transform(FRAME.select("x", "n").to_numpy())
    np.testing.assert_allclose(numbers, wanted, atol=1e-6)
    assert numbers.dtype == np.float32
    assert codes.dtype == np.int64
    assert codes[:, 0].tolist() == [["a", "b", "rare"].index(c) + 1 for c in FRAME["c"]]


def test_inputs_standard_agree_with_scikit_learn():
    numbers, _ = inputs(FRAME, fitted(scale="standard"))
    wanted = StandardScaler().fit_transform(FRAME.select("x", "n").to_numpy())
    np.testing.assert_allclose(numbers, wanted, atol=1e-5)


def test_inputs_onehot_agree_with_scikit_learn_and_leave_one_part():
    how = fitted(encode="onehot")
    (numbers,) = inputs(FRAME, how)
    wanted = OneHotEncoder(sparse_output=False).fit_transform(FRAME.select("c").to_numpy())
    np.testing.assert_array_equal(numbers[:, 2:], wanted)
    assert how.inputs(1).numbers == numbers.shape[1]
    assert inputs(HOLES, how)[0][0, 2:].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("fill", ["median", "mean", "mode"])
def test_inputs_missing_takes_the_fill_of_training_rows(fill):
    how = fitted(fill=fill)
    wanted = {
        "median": float(np.median(FRAME["n"].to_numpy())),
        "mean": float(FRAME["n"].to_numpy().mean()),
        "mode": float(np.bincount(FRAME["n"].to_numpy().astype(int)).argmax()),
    }[fill]
    numbers, codes = inputs(HOLES, how)
    column = how.numbers[1]
    assert numbers[1, 1] == pytest.approx(wanted * column.scale + column.shift, abs=1e-6)
    assert codes.tolist() == [[0], [0]]


def test_fit_rare_category_becomes_the_unknown_one():
    assert fitted(rare=20).categories[0].values == ("a", "b")


@pytest.mark.parametrize("scale", ["minmax", "standard"])
def test_fit_column_without_spread_becomes_zero(scale):
    frame = pl.DataFrame({"x": [7.0, 7.0, None], "z": [None] * 3, "y": [0, 1, 0]})
    settings = DataSettings(scale=scale)
    task = infer_task(frame, TaskKind.BINARY, "y")
    how = fit(frame, infer_schema(frame, task, settings), settings)
    assert inputs(frame, how)[0].tolist() == [[0.0, 0.0]] * 3


def test_columns_lay_out_raw_values():
    raw = columns(HOLES.drop("n"), fitted())
    np.testing.assert_array_equal(raw["x"], [np.nan, 10.0])
    np.testing.assert_array_equal(raw["n"], [np.nan, np.nan])
    assert raw["c"].tolist() == ["zebra", ""]
    assert raw["c"].dtype == object


def test_inputs_images_are_channels_first_in_minus_one_to_one(png):
    frame = pl.DataFrame({"image": [png(0, mode="RGB"), png(255, mode="RGB")], "y": [0, 1]})
    task = infer_task(frame, TaskKind.BINARY, "y")
    how = fit(frame, infer_schema(frame, task, DataSettings()), DataSettings())
    (pictures,) = inputs(frame, how)
    assert pictures.shape == (2, 3, 4, 6)
    assert pictures.dtype == np.float32
    assert (pictures[0].max(), pictures[1].min()) == (-1.0, 1.0)
    assert columns(frame, how)["image"].shape == (2, 4, 6, 3)


def test_labels_are_places_in_the_classes():
    assert labels(FRAME, TASK).tolist() == [int(y == "yes") for y in FRAME["y"]]
    regression = Task(TaskKind.REGRESSION, "x")
    np.testing.assert_allclose(labels(FRAME, regression), FRAME["x"].to_numpy(), rtol=1e-6)


@pytest.mark.parametrize("label", [None, "maybe"])
def test_labels_without_a_class_are_refused(label):
    with pytest.raises(InputError):
        labels(pl.DataFrame({"y": ["no", label]}), TASK)
