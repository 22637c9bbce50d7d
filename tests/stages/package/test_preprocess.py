"""The graph's preprocessing against the one that training used."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper
from PIL import Image

from instar.bundle.columns import Reader
from instar.bundle.session import start
from instar.core.data import CategoryColumn, ImageColumn, NumberColumn, Preprocessing
from instar.data import preprocessing as prepare
from instar.stages.package.export import CATEGORIES, IMAGE, NUMBERS
from instar.stages.package.preprocess import ML_OPSET, preprocess

KINDS = {
    NUMBERS: TensorProto.FLOAT,
    CATEGORIES: TensorProto.INT64,
    IMAGE: TensorProto.FLOAT,
}


def run(how: Preprocessing, frame: pl.DataFrame) -> list[np.ndarray]:
    part = preprocess(how)
    made = {node.output[0] for node in part.nodes}
    outputs = [
        helper.make_tensor_value_info(name, kind, ["n", *("?" * 3 if name == IMAGE else "?")])
        for name, kind in KINDS.items()
        if name in made
    ]
    graph = helper.make_graph(part.nodes, "front", part.inputs, outputs, part.constants)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    feed = Reader(how)(prepare.columns(frame, how))
    return start(model.SerializeToString()).run(None, feed)


def same(how: Preprocessing, frame: pl.DataFrame) -> None:
    expected = prepare.inputs(frame, how)
    found = run(how, frame)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("onehot", [False, True])
def test_table_is_prepared_as_in_training(case, onehot):
    strange = case.valid.with_columns(size=pl.lit("gigantic"))
    frame = pl.concat([case.valid, strange[:3]])
    assert frame["n1"].null_count()
    assert frame["size"].null_count()
    same(replace(case.how, onehot=onehot), frame)


def test_onehot_without_numbers_is_prepared_as_in_training(case):
    how = Preprocessing(categories=(*case.how.categories, CategoryColumn("benign", ("no", "yes"))))
    same(replace(how, onehot=True), case.valid)
    same(how, case.valid)


def test_large_numbers_keep_their_digits():
    how = Preprocessing(numbers=(NumberColumn("x", 1017.9, 1 / 22, -46.17727),))
    frame = pl.DataFrame({"x": [983.8, 1038.4, None, 1017.9]})
    np.testing.assert_allclose(run(how, frame)[0], prepare.inputs(frame, how)[0], atol=1e-5)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_image_is_prepared_as_in_training(mode):
    rng = np.random.default_rng(0)
    shape = (5, 4, len(mode)) if len(mode) > 1 else (5, 4)
    files = []
    for _ in range(3):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(file, format="PNG")
        files.append(file.getvalue())
    how = Preprocessing(image=ImageColumn("scan", 5, 4, mode, 2 / 255, -1.0))
    same(how, pl.DataFrame({"scan": files}))
