"""The models that are served, and the requests that are sent: sealed bundles, made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from instar.bundle import format as files
from instar.core.data import (
    CategoryColumn,
    ImageColumn,
    NumberColumn,
    Preprocessing,
    Schema,
    Task,
    TaskKind,
)
from instar.core.tools import Artifacts

VERSION = "model_v20260101_0000"
PATH = "/v2/models/m/infer"
_BINARY = TaskKind.BINARY
COLOURS = ("blue", "red", "green")


@dataclass(frozen=True)
class Case:
    """One model and one request: `kind` is how a peer has to read it."""

    name: str
    kind: str
    body: bytes
    head: int | None = None  # length of the JSON before binary tensors

    def lua(self, delay_ms: float = 0.0, timeout_ms: int = 0) -> str:
        """Write the request as a script of wrk; each waits before it asks again."""
        body = "".join(f"\\{byte:03d}" for byte in self.body)
        lines = [
            "wrk.method = 'POST'",
            f"wrk.body = '{body}'",
            "wrk.headers['content-type'] = 'application/json'",
        ]
        if self.head is not None:
            lines.append(f"wrk.headers['inference-header-content-length'] = '{self.head}'")
        if timeout_ms:
            lines.append(f"wrk.headers['x-timeout-ms'] = '{timeout_ms}'")
        if delay_ms:  # shaken, else all ask at once
            lines.append(f"function delay() return math.random(0, {2 * delay_ms:.0f}) end")
        said = "local e = s.errors local bad = e.status + e.connect + e.read + e.write "
        said += "io.write(string.format('answers %d %d %d %d %d\\n', s.requests - e.status, bad, "
        said += "e.timeout, l:percentile(99), s.duration))"
        return "\n".join([*lines, f"done = function(s, l) {said} end"])


def case(name: str) -> Case:
    """Find a case by its name."""
    return next(one for one in cases() if one.name == name)


def cases() -> list[Case]:
    """List what is asked: 30 numbers, images in binary, a row of named columns."""
    row = np.random.default_rng(0).normal(size=30).round(4).tolist()
    matrix = {"name": "numbers", "shape": [1, 30], "datatype": "FP32", "data": row}
    numbers = [
        {"name": f"n{i}", "shape": [1], "datatype": "FP64", "data": [row[i] if i % 5 else None]}
        for i in range(12)
    ]
    texts = [
        {"name": f"c{i}", "shape": [1], "datatype": "BYTES", "data": [COLOURS[i]]} for i in range(3)
    ]
    return [
        Case("mlp", "matrix", _json([matrix])),
        _picture("cnn", 28, 28),
        Case("columns", "columns", _json([*numbers, *texts])),
        _picture("heavy", 224, 224, 3),
    ]


def _picture(name: str, *shape: int) -> Case:
    size = int(np.prod(shape))
    image = {
        "name": "image",
        "shape": [1, *shape],
        "datatype": "UINT8",
        "parameters": {"binary_data_size": size},
    }
    head = json.dumps({"id": "request-1", "inputs": [image]}).encode()
    pixels = bytes(np.random.default_rng(1).integers(0, 256, size, np.uint8))
    return Case(name, "image", head + pixels, len(head))


def plain() -> bytes:
    """Write the row of the MLP for a server that knows no Open Inference Protocol."""
    body = json.loads(case("mlp").body)
    return json.dumps({"rows": [body["inputs"][0]["data"]]}).encode()


def _json(inputs: Sequence[Any]) -> bytes:
    return json.dumps({"id": "request-1", "inputs": inputs}).encode()


def bundle(artifacts: Artifacts, case: str, version: str = VERSION) -> str:
    """Seal the bundle of a case; return its manifest's digest."""
    preprocessing, task, graph = _MADE[case](_Graph())
    contents = files.Contents(task, preprocessing, Schema(()), "model.onnx", "fp32", task.classes)
    card = f"# {version}\n".encode()
    return files.write(artifacts, version, contents, {"model.onnx": graph, "card.md": card})[0]


class _Graph:
    """Put nodes and random weights together."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._chance = np.random.default_rng(2)

    def constant(self, value: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def random(self, *shape: int) -> str:
        scale = 1 / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else 100)
        return self.constant((scale * self._chance.normal(size=shape)).astype(np.float32))

    def add(self, kind: str, *inputs: str, **options: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **options))
        return name

    def dense(self, value: str, width: int, out: int) -> str:
        return self.add("Gemm", value, self.random(width, out), self.random(out))

    def seal(self, last: str, classes: int, inputs: Sequence[Any]) -> bytes:
        self.nodes.append(helper.make_node("Softmax", [last], ["scores"], axis=1))
        outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", classes])]
        graph = helper.make_graph(self.nodes, "m", list(inputs), outputs, self.weights)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        return bytes(model.SerializeToString())


def _info(name: str, kind: int, *shape: int) -> Any:
    return helper.make_tensor_value_info(name, kind, ["n", *shape])


def _mlp(graph: _Graph) -> tuple[Preprocessing, Task, bytes]:
    """Make a network of 30-64-64-2."""
    filled = _filled(graph)
    value = graph.add("Relu", graph.dense(filled, 30, 64))
    value = graph.add("Relu", graph.dense(value, 64, 64))
    numbers = tuple(NumberColumn(f"n{i}", 0.0, 1.0, 0.0) for i in range(30))
    sealed = graph.seal(graph.dense(value, 64, 2), 2, [_info("numbers", TensorProto.FLOAT, 30)])
    return Preprocessing(numbers), Task(_BINARY, "answer", ("no", "yes")), sealed


def _filled(graph: _Graph) -> str:
    missing = graph.add("IsNaN", "numbers")
    return graph.add("Where", missing, graph.constant(np.float32(0)), "numbers")


def _columns(graph: _Graph) -> tuple[Preprocessing, Task, bytes]:
    """Make the same over 12 numbers and 3 categories, which the graph encodes and embeds."""
    codes = graph.add(
        "LabelEncoder",
        "strings",
        domain="ai.onnx.ml",
        keys_strings=list(COLOURS),
        values_int64s=[1, 2, 3],
        default_int64=0,
    )
    last = _embedded(graph, _filled(graph), codes)
    preprocessing = Preprocessing(
        tuple(NumberColumn(f"n{i}", 0.0, 1.0, 0.0) for i in range(12)),
        tuple(CategoryColumn(f"c{i}", COLOURS) for i in range(3)),
    )
    inputs = [_info("numbers", TensorProto.FLOAT, 12), _info("strings", TensorProto.STRING, 3)]
    sealed = graph.seal(last, 2, inputs)
    return preprocessing, Task(_BINARY, "answer", ("no", "yes")), sealed


def _embedded(graph: _Graph, numbers: str, codes: str) -> str:
    embedded = graph.add("Gather", graph.random(4, 4), codes)
    flat = graph.add("Reshape", embedded, graph.constant(np.array([-1, 12], np.int64)))
    value = graph.add("Concat", numbers, flat, axis=1)
    value = graph.add("Relu", graph.dense(value, 24, 64))
    value = graph.add("Relu", graph.dense(value, 64, 64))
    return graph.dense(value, 64, 2)


def network() -> bytes:
    """Give the network of `columns` alone: its numbers are filled, its categories are codes.

    It is what a team exports that prepares its rows in pandas; the weights are the same.
    """
    graph = _Graph()
    last = _embedded(graph, "numbers", "codes")
    inputs = [_info("numbers", TensorProto.FLOAT, 12), _info("codes", TensorProto.INT64, 3)]
    return graph.seal(last, 2, inputs)


def _cnn(graph: _Graph) -> tuple[Preprocessing, Task, bytes]:
    """Make a small network for images of 28 by 28 pixels: 106,000 parameters."""
    value = graph.add("Cast", "image", to=TensorProto.FLOAT)
    value = graph.add("Div", value, graph.constant(np.float32(255)))
    value = graph.add("Unsqueeze", value, graph.constant(np.array([1], np.int64)))
    for before, after in ((1, 16), (16, 32)):
        weights = (graph.random(after, before, 3, 3), graph.random(after))
        value = graph.add("Conv", value, *weights, pads=[1, 1, 1, 1])
        value = graph.add("MaxPool", graph.add("Relu", value), kernel_shape=[2, 2], strides=[2, 2])
    value = graph.add("Relu", graph.dense(graph.add("Flatten", value), 32 * 49, 64))
    digits = tuple(str(digit) for digit in range(10))
    sealed = graph.seal(graph.dense(value, 64, 10), 10, [_info("image", TensorProto.UINT8, 28, 28)])
    preprocessing = Preprocessing(image=ImageColumn("image", 28, 28, "L", 1 / 255, 0.0))
    return preprocessing, Task(TaskKind.MULTICLASS, "digit", digits), sealed


# EfficientNet-Lite0: expansion, channels, repeats, stride, kernel of each stage.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def _heavy(graph: _Graph) -> tuple[Preprocessing, Task, bytes]:
    """Make EfficientNet-Lite0 for images of 224 by 224: 4.6 million parameters, drawn by chance.

    Source:
        Tan, Le 2019, "EfficientNet"; the Lite variant has ReLU6 and no squeeze-and-excitation.
    """
    low, high = graph.constant(np.float32(0)), graph.constant(np.float32(6))

    def conv(value: str, before: int, after: int, size: int, *, stride: int = 1, group: int = 1,
             bounded: bool = True) -> str:  # fmt: skip
        weights = graph.random(after, before // group, size, size), graph.random(after)
        pads = [size // 2] * 4
        made = graph.add("Conv", value, *weights, pads=pads, strides=[stride] * 2, group=group)
        return graph.add("Clip", made, low, high) if bounded else made

    value = graph.add("Cast", "image", to=TensorProto.FLOAT)
    value = graph.add("Div", value, graph.constant(np.float32(255)))
    value = conv(graph.add("Transpose", value, perm=[0, 3, 1, 2]), 3, 32, 3, stride=2)
    width = 32
    for expansion, channels, repeats, first, size in _STAGES:
        for turn in range(repeats):
            inner, stride = width * expansion, first if turn == 0 else 1
            wide = conv(value, width, inner, 1) if expansion > 1 else value
            deep = conv(wide, inner, inner, size, stride=stride, group=inner)
            made = conv(deep, inner, channels, 1, bounded=False)
            value = graph.add("Add", made, value) if turn else made
            width = channels
    value = graph.add("GlobalAveragePool", conv(value, width, 1280, 1))
    last = graph.dense(graph.add("Flatten", value), 1280, 1000)
    names = tuple(f"class {number}" for number in range(1000))
    sealed = graph.seal(last, 1000, [_info("image", TensorProto.UINT8, 224, 224, 3)])
    preprocessing = Preprocessing(image=ImageColumn("image", 224, 224, "RGB", 1 / 255, 0.0))
    return preprocessing, Task(TaskKind.MULTICLASS, "thing", names), sealed


_MADE = {"mlp": _mlp, "cnn": _cnn, "columns": _columns, "heavy": _heavy}


def graph_of(case: str) -> bytes:
    """Give the bare graph of a case, for servers that know no bundle."""
    return _MADE[case](_Graph())[2]
