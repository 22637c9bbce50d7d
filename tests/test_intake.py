"""Where data and models come in: what the next version reads, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

from instar import intake
from instar.bundle.errors import FixedBatch, UnreadableGraph
from instar.core.data import Column, InputSpec, Kind, Role, Schema
from instar.core.errors import InputError, UnknownName
from instar.core.policy import AugmentRule, DataSettings, MetricRule, TrainPolicy
from instar.core.records import ModelVersion, Network
from instar.data.schema.errors import OneClass
from instar.intake import recipe_of
from instar.models.build import build
from instar.policy import Project, read
from instar.stages.train.augment import fitness
from instar.testing.tools import MemoryArtifacts, fake_tools
from tests.service import line

torch.set_num_threads(1)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "instar.yaml").write_text(line.YAML)
    return read(tmp_path / "instar.yaml", overrides={})


def with_data(project: Project, **settings: Any) -> Project:
    policy = replace(project.policy, data=DataSettings(**settings))
    return replace(project, policy=policy)


@pytest.mark.parametrize(
    ("settings", "features"),
    [
        ({"ignore": ("note",)}, ("x", "shop")),
        ({"ignore": ()}, ("x", "shop", "note")),
        ({"ignore": ("note", "x")}, ("shop",)),
        ({"ignore": ("x",)}, ("shop", "note")),
        ({"features": ("shop",)}, ("shop",)),
        ({"features": ("shop", "note"), "ignore": ("x",)}, ("shop", "note")),
    ],
)
def test_features_follow_the_policy_and_never_hold_the_target(
    project: Project, settings: dict[str, Any], features: tuple[str, ...]
) -> None:
    assert intake.features_of(with_data(project, **settings), line.SCHEMA) == features


def test_file_name_beside_an_image_is_no_feature(project: Project) -> None:
    image = Column("image", Kind.IMAGE, Role.FEATURE, "Binary", size=(2, 2), mode="L")
    beside = Column("file_name", Kind.CATEGORY, Role.IGNORED, "String")
    assert intake.features_of(project, Schema((image, beside))) == ("image",)
    number = Column("x", Kind.NUMBER, Role.FEATURE, "Float64")
    assert intake.features_of(project, Schema((number, beside))) == ("x", "file_name")


def test_network_is_known_by_its_source(project: Project, tmp_path: Path) -> None:
    written = replace(project, network=Network(build="nets:build"))
    assert intake.network_of(written, tmp_path).source is None
    (tmp_path / "nets.py").write_text("one")
    first = intake.network_of(written, tmp_path).source
    (tmp_path / "nets.py").write_text("two")
    assert first not in (None, intake.network_of(written, tmp_path).source)
    assert intake.network_of(project, tmp_path) == project.network  # a family has no file


# Preprocessing files.

X = {"name": "x", "fill": 0.0, "scale": 1.0, "shift": 0.0}
SHOP = {"name": "shop", "values": ["north", "south"]}
MISTAKES: dict[str, tuple[Any, str]] = {
    "no json": ("{", "Expecting"),
    "not utf-8": (b"\xff\xfe{}", "codec"),
    "a list": ([], "list"),
    "empty": ({}, "no column"),
    "unknown key": ({"number": [X]}, "'number'"),
    "missing key": ({"numbers": [{"name": "x"}]}, "fill"),
    "no figures": ({"numbers": [{**X, "fill": "much"}]}, "much"),
    "null": ({"numbers": [{**X, "scale": None}]}, "'x'"),
    "NaN": ({"numbers": [{**X, "shift": float("nan")}]}, "'x'"),
    "no list": ({"numbers": X}, "a dict in place of a list"),
    "unknown column": ({"numbers": [{**X, "name": "y"}]}, "'y'"),
    "the target": ({"categories": [{**SHOP, "name": "up"}]}, "'up'"),
    "an ignored column": ({"numbers": [{**X, "name": "note"}]}, "'note'"),
    "text as number": ({"numbers": [{**X, "name": "shop"}]}, "'shop' is a category"),
    "number as text": ({"categories": [{**SHOP, "name": "x"}]}, "'x' is a number"),
    "twice": ({"numbers": [X, X]}, "twice"),
}


def written(folder: Path, what: Any) -> Path:
    file = folder / "how.json"
    if isinstance(what, bytes):
        file.write_bytes(what)
    else:
        file.write_text(what if isinstance(what, str) else json.dumps(what))
    return file


@pytest.mark.parametrize("name", MISTAKES)
def test_preprocessing_mistake_is_named(tmp_path: Path, name: str) -> None:
    what, needle = MISTAKES[name]
    with pytest.raises(intake.BadPreprocessing) as caught:
        intake.read_preprocessing(written(tmp_path, what), line.SCHEMA)
    assert needle in str(caught.value)
    assert "how.json" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_preprocessing_is_read_as_it_is_written(tmp_path: Path) -> None:
    file = written(tmp_path, {"numbers": [X], "categories": [SHOP], "onehot": True})
    how = intake.read_preprocessing(file, line.SCHEMA)
    assert how.columns == ("x", "shop")
    assert how.inputs(1) == InputSpec(numbers=3, outputs=1)


# Adoption and requests.


def rows(count: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    x, shop = random.normal(size=count), random.choice(["north", "south"], count)
    up = np.where(x + (shop == "north") + random.logistic(size=count) > 0, "yes", "no")
    return pl.DataFrame({"x": x, "shop": shop, "up": up})


def take_over(project: Project, folder: Path, **changed: Any) -> tuple[ModelVersion, Any]:
    torch.manual_seed(0)
    spec = InputSpec(numbers=1, categories=(3,), outputs=1)
    network = build(Network(family="mlp", options={"hidden": [8]}), spec, folder)
    weights = folder / "champion.safetensors"
    save_file(network.state_dict(), weights)
    tools = fake_tools(folder)
    given: dict[str, Any] = {
        "weights": weights,
        "train": rows(300, 1),
        "holdout": rows(100, 2),
        "preprocessing": None,
        "version": "model_v20260101_0000",
        **changed,
    }
    return intake.adopt(project, tools, **given), tools


def test_adopted_model_answers_as_its_network_does(project: Project, tmp_path: Path) -> None:
    made, tools = take_over(project, tmp_path)
    assert made.name == "model_v20260101_0000"
    assert made.weights in tools.artifacts
    assert (made.train[0].rows, made.holdout[0].rows) == (300, 100)
    assert made.recipe == {"epochs": 12.0}
    # The metric on the holdout, computed by hand from the network itself.
    from sklearn.metrics import roc_auc_score

    from instar.data import preprocessing
    from instar.models import weights

    held = rows(100, 2)
    network = build(made.network, made.preprocessing.inputs(1), tmp_path)
    weights.load(network, tools.artifacts.read(made.weights))
    inputs = preprocessing.inputs(held, made.preprocessing)
    with torch.no_grad():
        said = network.eval()(*(torch.tensor(part) for part in inputs))[:, 0]
    expected = roc_auc_score(held["up"] == "yes", said.numpy())
    assert made.metrics["auroc"] == pytest.approx(expected, abs=1e-6)
    # What production will be held to is known from the first champion on.
    right = float(((said.numpy() > 0) == (held["up"] == "yes").to_numpy()).mean())
    assert list(made.metrics) == ["auroc", "accuracy"]
    assert made.metrics["accuracy"] == pytest.approx(right)


def test_adoption_keeps_rows_without_a_label_out(project: Project, tmp_path: Path) -> None:
    some = rows(300, 1).with_columns(up=pl.when(pl.int_range(pl.len()) >= 10).then("up"))
    made, _ = take_over(project, tmp_path, train=some)
    assert made.train[0].rows == 290


def test_holdout_with_a_new_category_is_taken(project: Project, tmp_path: Path) -> None:
    held = rows(100, 2).with_columns(shop=pl.lit("west"))
    assert take_over(project, tmp_path, holdout=held)[0].holdout[0].rows == 100


def test_adoption_refuses_a_holdout_that_was_learnt_from(project: Project, tmp_path: Path) -> None:
    own = rows(300, 1)
    with pytest.raises(intake.LearntHoldout, match="80 of 100 rows"):
        take_over(project, tmp_path, holdout=pl.concat([own[:80], rows(20, 2)]))
    # Rows of a coarse table agree by chance, as its training rows do with each other.
    coarse = own.with_columns(x=pl.col("x").sign())
    held = rows(100, 2).with_columns(x=pl.col("x").sign())
    assert take_over(project, tmp_path, train=coarse, holdout=held)[0].holdout[0].rows == 100


UNFIT: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "no column": lambda held: held.drop("x"),
    "no label": lambda held: held.with_columns(up=pl.lit(None, pl.String)),
    "unknown label": lambda held: held.with_columns(up=pl.lit("maybe")),
    "no rows": lambda held: held.head(0),
}


@pytest.mark.parametrize("name", UNFIT)
def test_adoption_refuses_a_holdout_that_does_not_fit(
    project: Project, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError):
        take_over(project, tmp_path, holdout=UNFIT[name](rows(100, 2)))


def graph(first: str | int) -> bytes:
    """A sound ONNX graph whose one input has `first` rows."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [first, 2]) for name in ("x", "y")
    ]
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
    opset = [helper.make_opsetid("", 20)]
    made = helper.make_model(body, opset_imports=opset, ir_version=10)
    onnx.checker.check_model(made)
    return made.SerializeToString()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (graph(16), FixedBatch),
        (graph("n")[:40], UnreadableGraph),
        (graph("n"), intake.GraphForWeights),
    ],
    ids=["fixed batch", "truncated", "sound"],
)
def test_adoption_of_an_onnx_file_names_its_problem_or_asks_for_weights(
    project: Project, tmp_path: Path, data: bytes, problem: type[InputError]
) -> None:
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(problem):
        take_over(project, tmp_path, weights=tmp_path / "model.onnx")


def test_request_names_what_was_asked_and_keeps_the_data(project: Project, tmp_path: Path) -> None:
    made, tools = take_over(project, tmp_path)
    asked = intake.ask(project, made, rows(50, 3), tools, "fresh.parquet")
    request = intake.request(
        asked,
        project,
        made,
        update="u0001",
        reason="weekly",
        by="alice",
        policy="sha256:p",
        seed=7,
    )
    assert request.fresh.digest in tools.artifacts
    assert (request.fresh.rows, request.fresh.source) == (50, "fresh.parquet")
    assert (request.champion, request.features) == (made.name, ("x", "shop"))


@pytest.mark.parametrize("ignore", [("x",), ("x", "shop")])
def test_request_without_a_feature_that_is_ignored_by_now(
    project: Project, tmp_path: Path, ignore: tuple[str, ...]
) -> None:
    made, tools = take_over(project, tmp_path)
    less = with_data(project, ignore=ignore)
    if len(ignore) == 2:
        with pytest.raises(intake.NoFeatures):
            intake.ask(less, made, rows(50, 3), tools, "fresh")
        return
    assert intake.ask(less, made, rows(50, 3), tools, "fresh").features == ("shop",)


def test_column_that_came_new_is_left_out_once_the_policy_ignores_it(
    project: Project, tmp_path: Path
) -> None:
    made, tools = take_over(project, tmp_path)
    fresh = rows(50, 3)
    more = fresh.with_columns(extra=pl.lit(1))
    with pytest.raises(
        InputError, match=r"'extra' besides; drop it, or name it under data\.ignore"
    ):
        intake.ask(project, made, more, tools, "fresh")
    asked = intake.ask(with_data(project, ignore=("extra",)), made, more, tools, "fresh")
    assert asked.fresh.digest == intake.ask(project, made, fresh, tools, "fresh").fresh.digest


def test_metric_that_nobody_knows_is_refused_before_anything_is_trained(
    project: Project, tmp_path: Path
) -> None:
    judged = replace(project.policy.validate, metrics={"auc": MetricRule()})
    wrong = replace(project, policy=replace(project.policy, validate=judged))
    with pytest.raises(
        UnknownName, match=r"metric of a binary task out of accuracy, auroc, .*'auc'"
    ):
        take_over(wrong, tmp_path)
    made, tools = take_over(project, tmp_path)
    with pytest.raises(UnknownName, match="'auc'"):
        intake.ask(wrong, made, rows(50, 3), tools, "fresh")


def test_data_that_do_not_fit_leave_no_artifact(project: Project, tmp_path: Path) -> None:
    made, _ = take_over(project, tmp_path)
    empty = MemoryArtifacts()
    tools = replace(fake_tools(tmp_path), artifacts=empty)
    with pytest.raises(InputError):
        intake.ask(project, made, rows(50, 3).drop("x"), tools, "fresh")
    assert empty.kept == {}


@pytest.mark.parametrize(
    ("kind", "yes", "error", "told"),
    [
        ("flip", 20, fitness.UnfitKind, "without an image"),
        ("resample", 0, OneClass, "only 'no'"),
        ("synthesise", 1, fitness.SingleRow, "one of 'yes'"),
        ("resample", 1, None, ""),
        ("synthesise", 2, None, ""),
    ],
)
def test_rows_that_cannot_be_augmented_leave_no_artifact(
    project: Project, tmp_path: Path, kind: Any, yes: int, error: Any, told: str
) -> None:
    made, _ = take_over(project, tmp_path)
    fresh, empty = rows(80, 3), MemoryArtifacts()
    some = [fresh.filter(up="no"), fresh.filter(up="yes").head(yes)]
    tools = replace(fake_tools(tmp_path), artifacts=empty)
    train = replace(project.policy.train, augment=AugmentRule(kinds=(kind,)))
    asking = replace(project, policy=replace(project.policy, train=train))
    if error is None:
        assert intake.ask(asking, made, pl.concat(some), tools, "fresh").fresh.digest in empty
        return
    with pytest.raises(error, match=told):
        intake.ask(asking, made, pl.concat(some), tools, "fresh")
    assert empty.kept == {}


def test_features_that_do_not_exist_are_refused(project: Project, tmp_path: Path) -> None:
    made, tools = take_over(project, tmp_path)
    with pytest.raises(InputError, match="nothing_such"):
        intake.ask(
            with_data(project, features=("x", "nothing_such")), made, rows(50, 3), tools, "fresh"
        )


def test_recipe_of_a_policy_leaves_out_what_says_nothing():
    assert recipe_of(TrainPolicy(batch=0)) == {"epochs": 12.0}
    assert recipe_of(TrainPolicy(lr=0.1, batch=32)) == {"lr": 0.1, "batch": 32.0, "epochs": 12.0}
