"""Tiny bundles for tests of whatever opens one. No training, no torch; needs `onnx`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from instar.bundle import format as files
from instar.core.data import (
    CategoryColumn,
    Column,
    Kind,
    NumberColumn,
    Preprocessing,
    Role,
    Schema,
    Task,
    TaskKind,
)
from instar.core.tools import Artifacts

TASK = Task(TaskKind.BINARY, target="answer", classes=("no", "yes"))
PREPROCESSING = Preprocessing(
    numbers=(NumberColumn("x", 0.0, 1.0, 0.0), NumberColumn("y", 0.0, 1.0, 0.0)),
    categories=(CategoryColumn("colour", ("blue", "red")),),
)
SCHEMA = Schema(
    (
        Column("x", Kind.NUMBER, Role.FEATURE, "Float64", low=-1.0, high=1.0),
        Column("y", Kind.NUMBER, Role.FEATURE, "Float64", low=-1.0, high=1.0),
        Column("colour", Kind.CATEGORY, Role.FEATURE, "String", categories=("blue", "red")),
        Column("answer", Kind.CATEGORY, Role.TARGET, "String", categories=("no", "yes")),
    )
)


def tiny_bundle(
    artifacts: Artifacts,
    version: str = "model_v20260101_0000",
    bias: float = 0.0,
    *,
    weights: Sequence[float] = (1.0, -1.0),
    nan_above: float | None = None,
    fails_above: float | None = None,
    hangs_above: float | None = None,
) -> str:
    """Seal `sigmoid(weights[0] * x + weights[1] * y + bias + shift)`, and return its manifest.

    `shift` is 0.5 where `colour` is `red`, -0.5 where it is `blue`, else 0; missing numbers are 0.

    Args:
        artifacts: Where the bundle goes.
        version: Its name.
        bias: Logit of a row of zeros.
        weights: Of `x` and `y`; different ones make different versions.
        nan_above: Rows with a larger `x` are answered with NaN.
        fails_above: A call with a larger `x` in any row fails inside the graph.
        hangs_above: A call with a larger `x` in any row never comes back.
    Returns:
        The digest that `ServedBundle.open` takes.
    """
    graph = _graph(bias, weights, nan_above, fails_above, hangs_above)
    contents = files.Contents(TASK, PREPROCESSING, SCHEMA, "model.onnx", "fp32", TASK.classes)
    card = f"# {version}\n".encode()
    return files.write(artifacts, version, contents, {"model.onnx": graph, "card.md": card})[0]


def _graph(
    bias: float,
    weights: Sequence[float],
    nan_above: float | None,
    fails_above: float | None,
    hangs_above: float | None,
) -> bytes:
    constants: dict[str, Any] = {
        "zero": np.float32(0),
        "one": np.float32(1),
        "weights": np.array(weights, np.float32).reshape(2, 1),
        "bias": np.float32(bias),
        "shifts": np.array([0, -0.5, 0.5], np.float32),
    }
    node = helper.make_node
    nodes = [
        node("IsNaN", ["numbers"], ["missing"]),
        node("Where", ["missing", "zero", "numbers"], ["filled"]),
        node("MatMul", ["filled", "weights"], ["product"]),
        node(
            "LabelEncoder",
            ["strings"],
            ["codes"],
            domain="ai.onnx.ml",
            keys_strings=["blue", "red"],
            values_int64s=[1, 2],
            default_int64=0,
        ),
        node("Gather", ["shifts", "codes"], ["shift"]),
        node("Add", ["product", "shift"], ["shifted"]),
        node("Add", ["shifted", "bias"], ["logit"]),
        node("Sigmoid", ["logit"], ["sound"]),
    ]
    nodes += _trap("nan", nan_above, constants) + _trap("fail", fails_above, constants)
    nodes += _trap("hang", hangs_above, constants)
    last = "sound"
    if nan_above is not None:
        constants["nan"] = np.float32(np.nan)
        nodes.append(node("Where", ["nan_hit", "nan", last], ["spoilt"]))
        last = "spoilt"
    if fails_above is not None:  # index 1 of a table with one row: the runtime refuses
        constants["table"] = np.zeros(1, np.float32)
        nodes += [
            node("Cast", ["fail_hit"], ["fail_index"], to=TensorProto.INT64),
            node("Gather", ["table", "fail_index"], ["nothing"]),
            node("Add", [last, "nothing"], ["unfailed"]),
        ]
        last = "unfailed"
    if hangs_above is not None:
        constants |= {"once": np.array(1, np.int64), "ever": np.array(1 << 60, np.int64)}
        nodes += [
            node("Cast", ["hang_hit"], ["hang_number"], to=TensorProto.FLOAT),
            node("ReduceMax", ["hang_number"], ["hang_any"], keepdims=0),
            node("Cast", ["hang_any"], ["hang_now"], to=TensorProto.BOOL),
            node("Where", ["hang_now", "ever", "once"], ["turns"]),
            node("Loop", ["turns", "", last], ["unhung"], body=_idle()),
        ]
        last = "unhung"
    nodes += [
        node("Sub", ["one", last], ["rest"]),
        node("Concat", ["rest", last], ["scores"], axis=1),
    ]
    return _model(nodes, constants)


def _trap(name: str, above: float | None, constants: dict[str, Any]) -> list[onnx.NodeProto]:
    if above is None:
        return []
    constants |= {f"{name}_above": np.float32(above), "first": np.array([0], np.int64)}
    return [
        helper.make_node("Gather", ["filled", "first"], [f"{name}_x"], axis=1),
        helper.make_node("Greater", [f"{name}_x", f"{name}_above"], [f"{name}_hit"]),
    ]


def _idle() -> onnx.GraphProto:
    """Make one turn of a loop that does nothing."""
    info, node = helper.make_tensor_value_info, helper.make_node
    return helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("Identity", ["before"], ["after"])],
        "idle",
        [
            info("turn", TensorProto.INT64, []),
            info("go", TensorProto.BOOL, []),
            info("before", TensorProto.FLOAT, None),
        ],
        [info("go_on", TensorProto.BOOL, []), info("after", TensorProto.FLOAT, None)],
    )


def _model(nodes: list[onnx.NodeProto], constants: dict[str, Any]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("strings", TensorProto.STRING, ["n", 1]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())
