"""Requests and answers as messages: from and to what the desk reads and writes.

A request becomes what its HTTP twin becomes: tensors with the bytes of each, so that one reader
checks both. An answer is raw where the request was, or where `binary_data_output` says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from instar.serving.answers import packed
from instar.serving.batching import Scores
from instar.serving.connection import Reply
from instar.serving.desk import Arm
from instar.serving.grpc import messages
from instar.serving.protocol import Asked, Infer, Malformed, Parameters, Tensor, Wanted, wanted
from instar.serving.tensors import DATATYPES

REQUEST = messages.message("ModelInferRequest")
RESPONSE = messages.message("ModelInferResponse")

_MOST_DIMENSIONS = 8
# Where the values of a datatype stand, and what each is in raw bytes.
_CONTENTS: Mapping[str, tuple[str, str]] = {
    "BOOL": ("bool_contents", "?"),
    "INT8": ("int_contents", "<i1"),
    "INT16": ("int_contents", "<i2"),
    "INT32": ("int_contents", "<i4"),
    "INT64": ("int64_contents", "<i8"),
    "UINT8": ("uint_contents", "<u1"),
    "UINT16": ("uint_contents", "<u2"),
    "UINT32": ("uint_contents", "<u4"),
    "UINT64": ("uint64_contents", "<u8"),
    "FP32": ("fp32_contents", "<f4"),
    "FP64": ("fp64_contents", "<f8"),
    "BYTES": ("bytes_contents", ""),
}


def asked(request: Any) -> Asked:
    """Read an inference request; its values are looked at by whoever knows the version.

    Raises:
        Malformed: it contradicts itself.
    """
    raw = list(request.raw_input_contents)
    tensors = [
        Tensor(tensor.name, list(tensor.shape), tensor.datatype, parameters=None)
        for tensor in request.inputs
    ]
    for tensor in tensors:
        if len(tensor.shape) > _MOST_DIMENSIONS:
            raise Malformed(f"at most {_MOST_DIMENSIONS} dimensions", str(len(tensor.shape)))
    if raw:
        if any(tensor.HasField("contents") for tensor in request.inputs):
            raise Malformed("raw_input_contents or contents", "both")
        if len(raw) != len(tensors):
            raise Malformed(f"{len(tensors)} raw_input_contents, one an input", str(len(raw)))
        blobs = [memoryview(part) for part in raw]
    else:
        blobs = [memoryview(_blob(tensor)) for tensor in request.inputs]
    outputs = [Wanted(one.name, _parameters(one.parameters)) for one in request.outputs]
    parameters = {"binary_data_output": bool(raw), **_parameters(request.parameters)}
    return Asked(Infer(tensors, request.id or None, outputs or None, parameters), blobs)


def check(infer: Infer, offered: Mapping[str, str]) -> None:
    """See that a request asks for outputs that there are, in one encoding.

    Raises:
        UnknownName: it asks for an output that there is not.
        Malformed: it asks for one twice, or for some raw and others not.
    """
    if len({raw for _, raw in wanted(infer, offered)}) > 1:
        raise Malformed("all outputs raw, or none", "some of them")


def answer(
    infer: Infer, model: str, arm: Arm, scores: Scores, at: int, rows: list[list[float]]
) -> Reply:
    """Write the answer to an inference request.

    Args:
        model: The model line.
        scores: Shape (n, k), those of other requests among them.
        at: The first row that is this request's.
        rows: One entry for each of its rows.
    """
    writer = arm.writer
    made = RESPONSE(model_name=model, model_version=arm.version.name, id=infer.id or "")
    scores = scores[at : at + len(rows)]
    for name, raw in wanted(infer, writer.offered):
        datatype = writer.offered[name]
        values = writer.form.tensor(name, scores, writer.task)
        output = made.outputs.add(name=name, datatype=datatype, shape=values.shape)
        if raw:
            made.raw_output_contents.append(packed(values, datatype))
        else:
            flat = values.ravel().tolist()
            field = getattr(output.contents, _CONTENTS[datatype][0])
            field.extend([text.encode() for text in flat] if datatype == "BYTES" else flat)
    return Reply(200, made.SerializeToString())


def _blob(tensor: Any) -> bytes:
    """Lay out the values of one input as raw bytes."""
    name, datatype = tensor.name, tensor.datatype
    if datatype not in DATATYPES:
        raise Malformed("a datatype of the protocol", repr(datatype[:40]))
    if datatype not in _CONTENTS:
        raise Malformed(f"{datatype} in raw_input_contents", f"contents in {name}")
    field, kind = _CONTENTS[datatype]
    there = [found.name for found, _ in tensor.contents.ListFields()]
    if there != [field]:
        raise Malformed(f"{field} in {name}", ", ".join(there) or "none")
    values = getattr(tensor.contents, field)[:]
    if len(values) != math.prod(tensor.shape):
        raise Malformed(f"{math.prod(tensor.shape)} values in {name}", str(len(values)))
    if datatype == "BYTES":
        return b"".join(len(text).to_bytes(4, "little") + text for text in values)
    try:
        return np.array(values, kind).tobytes()
    except OverflowError as error:
        raise Malformed(f"{datatype} values in {name}", "one out of its range") from error


def _parameters(given: Mapping[str, Any]) -> Parameters:
    found: Parameters = {}
    for name, parameter in given.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is None:
            raise Malformed(f"a value in the parameter {name}", "none")
        found[name] = getattr(parameter, kind)
    return found
