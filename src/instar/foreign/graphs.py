"""ONNX files from outside, held against limits before anything runs or allocates.

A small file can ask for endless memory: tensors of a declared size, nodes that repeat or expand
them, graphs in graphs. All of that is counted here on the parsed file, from declared and inferred
shapes; no node is executed.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper, shape_inference

from instar.bundle.errors import (
    ExternalData,
    GraphTooLarge,
    LostData,
    OddFile,
    StrangeOperator,
    UnreadableGraph,
)
from instar.bundle.signature import safe

LARGEST = 2 << 30  # bytes of all weights together: what one protobuf message can hold
ELEMENTS = 1 << 28  # of any one tensor with a known shape
NODES = 50_000
DEPTH = 8
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
ROUNDS = 10_000  # of a loop whose count is written in the file
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def parse(data: bytes) -> onnx.ModelProto:
    """Read an ONNX file; nothing outside it is looked at.

    Raises:
        UnreadableGraph: the bytes are no ONNX model.
    """
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise UnreadableGraph("bytes that are no ONNX model") from error
    if not model.graph.node:
        raise UnreadableGraph("a model without nodes")
    return model


def check(model: onnx.ModelProto) -> None:
    """Refuse a model that asks for too much, or for code that the standard does not have.

    Raises:
        ExternalData: weights lie in another file.
        StrangeOperator: an operator is of no standard domain.
        GraphTooLarge: it has too many nodes, too deep graphs, too large tensors.
        UnreadableGraph: it contradicts itself.
    """
    if model.functions or model.training_info:
        raise StrangeOperator("functions of its own")
    count, total = 0, 0
    for graph, depth in _graphs(model.graph):
        count += len(graph.node)
        if count > NODES:
            raise GraphTooLarge(f"at most {NODES:,} nodes", "more")
        if depth > DEPTH:
            raise GraphTooLarge(f"at most {DEPTH} graphs in one another", "more")
        if graph.sparse_initializer:
            raise UnreadableGraph("sparse weights")
        for node in graph.node:
            if node.domain not in DOMAINS:
                raise StrangeOperator(f"{node.op_type[:80]} of {node.domain[:80]!r}")
    for tensor in tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ExternalData(tensor.name[:80])
        total += _held(tensor)
        if total > LARGEST:
            raise GraphTooLarge(f"at most {LARGEST >> 30} GiB of weights", "more")
    _expansion(model)


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """List every tensor that a model holds: weights, and constants in nodes, in all graphs."""
    for graph, _ in _graphs(model.graph):
        yield from graph.initializer
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def inline(model: onnx.ModelProto, folder: Path) -> None:
    """Put weights that lie in other files into the model.

    Args:
        folder: Where the model lies; only files below it are read, through no link.
    Raises:
        LostData: a file is missing, or its name leads out of the folder.
        OddFile: a file is a link, or has a second name.
        GraphTooLarge: there are more than 2 GiB.
    """
    total = 0
    for tensor in tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL and not tensor.external_data:
            continue
        size = _size(tensor)
        total += size
        if total > LARGEST:
            raise GraphTooLarge(f"at most {LARGEST >> 30} GiB of weights", "more")
        tensor.raw_data = _outside(tensor, folder, size)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")


def _graphs(graph: onnx.GraphProto, depth: int = 0) -> Iterator[tuple[onnx.GraphProto, int]]:
    yield graph, depth
    if depth > DEPTH:
        return
    for node in graph.node:
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField("g") else []
            for below in (*inner, *attribute.graphs):
                yield from _graphs(below, depth + 1)


def _size(tensor: onnx.TensorProto) -> int:
    """Count the bytes that type and shape of a tensor ask for."""
    if any(length < 0 for length in tensor.dims):
        raise UnreadableGraph(f"the tensor {tensor.name[:80]!r} of a negative length")
    elements = math.prod(tensor.dims)
    if elements > ELEMENTS:
        raise GraphTooLarge(f"tensors of at most {ELEMENTS:,} values", f"{elements:,}")
    if tensor.data_type == onnx.TensorProto.STRING:
        return int(elements)
    try:
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except KeyError as error:
        raise UnreadableGraph(f"the tensor {tensor.name[:80]!r} of an unknown type") from error
    bits = 4 if kind.name in ("int4", "uint4", "float4_e2m1fn") else 8 * kind.itemsize
    return int(elements * bits + 7) // 8


def _held(tensor: onnx.TensorProto) -> int:
    """Count the bytes that a tensor holds; they must be those that it says."""
    size = _size(tensor)
    if tensor.HasField("raw_data"):
        if len(tensor.raw_data) != size:
            raise UnreadableGraph(f"the tensor {tensor.name[:80]!r} of another size than it says")
        return size
    values = sum(
        len(field)
        for field in (
            tensor.float_data,
            tensor.int32_data,
            tensor.int64_data,
            tensor.double_data,
            tensor.uint64_data,
            tensor.string_data,
        )
    )
    if values > math.prod(tensor.dims) * 2 or (values == 0 and math.prod(tensor.dims)):
        raise UnreadableGraph(f"the tensor {tensor.name[:80]!r} of another size than it says")
    return size


def _expansion(model: onnx.ModelProto) -> None:
    """Refuse a graph that makes a huge tensor out of nothing, or repeats itself without end."""
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    for graph, _ in _graphs(model.graph):
        for node in graph.node:
            if node.op_type == "Constant" and node.output:
                known.update((node.output[0], a.t) for a in node.attribute if a.HasField("t"))
    for graph, _ in _graphs(model.graph):
        for node in graph.node:
            measure = _MEASURES.get(node.op_type)
            if measure and (told := measure(node, known)) is not None and told > ELEMENTS:
                raise GraphTooLarge(f"tensors of at most {ELEMENTS:,} values", f"a {node.op_type}")
            if node.op_type == "Loop" and node.input and node.input[0] in known:
                rounds = _values(known[node.input[0]])
                if rounds and max(rounds) > ROUNDS:
                    raise GraphTooLarge(f"loops of at most {ROUNDS:,} rounds", f"{max(rounds):,}")
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except (shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise UnreadableGraph("shapes that contradict each other") from error
    for graph, _ in _graphs(inferred.graph):
        for value in (*graph.value_info, *graph.output, *graph.input):
            lengths = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            if math.prod(length or 1 for length in lengths) > ELEMENTS:
                raise GraphTooLarge(f"tensors of at most {ELEMENTS:,} values", "a larger one")


def _values(tensor: onnx.TensorProto) -> list[int]:
    if tensor.data_type not in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
        return []
    return [int(value) for value in numpy_helper.to_array(tensor).ravel()[:64]]


def _shape_of(place: int) -> Callable[[onnx.NodeProto, dict[str, onnx.TensorProto]], int | None]:
    def measure(node: onnx.NodeProto, known: dict[str, onnx.TensorProto]) -> int | None:
        if len(node.input) <= place or node.input[place] not in known:
            return None
        return math.prod(abs(value) or 1 for value in _values(known[node.input[place]]))

    return measure


def _range(node: onnx.NodeProto, known: dict[str, onnx.TensorProto]) -> int | None:
    if not all(name in known for name in node.input):
        return None
    start, limit, delta = (numpy_helper.to_array(known[name]).ravel() for name in node.input)
    if not (start.size and limit.size and delta.size) or not delta[0]:
        return ELEMENTS + 1
    return int(abs(float(limit[0]) - float(start[0])) / abs(float(delta[0])))


_MEASURES: dict[str, Callable[[onnx.NodeProto, dict[str, onnx.TensorProto]], int | None]] = {
    "ConstantOfShape": _shape_of(0),
    "Expand": _shape_of(1),
    "Tile": _shape_of(1),
    "Pad": _shape_of(1),
    "Range": _range,
}


def _outside(tensor: onnx.TensorProto, folder: Path, size: int) -> bytes:
    """Read a tensor's bytes from the file that it names."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    name, shown = said.get("location", ""), tensor.name[:80]
    if len(said) != len(tensor.external_data) or not safe(name):
        raise LostData(shown, "a name that leads out of the folder")
    offset, length = said.get("offset", "0"), said.get("length", str(size))
    if not (offset.isdecimal() and length.isdecimal() and int(length) == size):
        raise UnreadableGraph(f"the tensor {shown!r} of another size than it says")
    try:
        with contextlib.ExitStack() as stack:
            handle = os.open(folder, _FLAGS | os.O_DIRECTORY)
            stack.callback(os.close, handle)
            for part in name.split("/"):
                handle = os.open(part, _FLAGS, dir_fd=handle)
                stack.callback(os.close, handle)
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise OddFile(name.rpartition("/")[2], "no file, or one with a second name")
            data = b""
            while len(data) < size and (
                more := os.pread(handle, size - len(data), int(offset) + len(data))
            ):
                data += more
    except FileNotFoundError as error:
        raise LostData(shown, "no such file") from error
    except (OSError, OverflowError) as error:
        raise OddFile(name.rpartition("/")[2], "a link, or not to be read") from error
    if len(data) != size:
        raise UnreadableGraph(f"the tensor {shown!r} of another size than its file")
    return data
