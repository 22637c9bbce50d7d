from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from instar.bundle.errors import FixedBatch, UnreadableGraph
from instar.bundle.session import start


def graph(rows) -> onnx.ModelProto:
    info = helper.make_tensor_value_info
    weights = numpy_helper.from_array(np.ones((2, 1), np.float32), "weights")
    made = helper.make_graph(
        [helper.make_node("MatMul", ["numbers", "weights"], ["scores"])],
        "g",
        [info("numbers", TensorProto.FLOAT, [rows, 2])],
        [info("scores", TensorProto.FLOAT, [rows, 1])],
        [weights],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_start_answers_any_number_of_rows():
    session = start(graph("n").SerializeToString())
    for rows in (1, 5):
        answer = session.run(None, {"numbers": np.ones((rows, 2), np.float32)})[0]
        assert answer.tolist() == [[2.0]] * rows


def test_start_refuses_a_fixed_batch():
    with pytest.raises(FixedBatch, match="numbers"):
        start(graph(1).SerializeToString())


def test_start_refuses_what_is_no_onnx():
    with pytest.raises(UnreadableGraph):
        start(b"not a graph")


def test_start_refuses_weights_in_another_file(tmp_path):
    model = graph("n")
    onnx.save(
        model,
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    with pytest.raises(UnreadableGraph):
        start((tmp_path / "model.onnx").read_bytes())
