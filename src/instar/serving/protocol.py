"""The Open Inference Protocol in JSON: requests in, answers and errors out. No sockets here.

Source: `specification/protocol/inference_rest.md` of
https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from instar.core.errors import InputError, UnknownName
from instar.serving.models import Version
from instar.tasks import form_of

T = TypeVar("T")
Columns = dict[str, Any]
Inputs = Mapping[str, Mapping[str, Any]]

_INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_FLOATS = ("FP32", "FP64")
_DATATYPES = (*_INTEGERS, *_FLOATS, "FP16", "BOOL", "BYTES")
_INTEGER_LIST = msgspec.json.Decoder(list[int | None])
_FLOAT_LIST = msgspec.json.Decoder(list[float | None])
_TEXT_LIST = msgspec.json.Decoder(list[str | None])
_ENCODER = msgspec.json.Encoder()


class Malformed(InputError):
    """Refuse a request that is not what the protocol says."""

    code = "request.malformed"

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(wanted, got, "correct the request")


class Tensor(msgspec.Struct):
    """One input: a raw column. `null` in `data` is a missing value."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw
    parameters: dict[str, str | int | float | bool] | None = None


class Wanted(msgspec.Struct):
    """One output that the client asks for."""

    name: str
    parameters: dict[str, str | int | float | bool] | None = None


class Infer(msgspec.Struct):
    """The body of an inference request."""

    inputs: list[Tensor]
    id: str | None = None
    outputs: list[Wanted] | None = None
    parameters: dict[str, str | int | float | bool] | None = None


class Rows(msgspec.Struct):
    """The body of a request in plain rows, for people."""

    rows: list[dict[str, Any]]
    id: str | None = None


_INFER = msgspec.json.Decoder(Infer)
_ROWS = msgspec.json.Decoder(Rows)


def read_infer(body: bytes) -> Infer:
    """Read an inference request.

    Raises:
        Malformed: it is not one.
    """
    return decode(_INFER, body, "an inference request")


def read_rows(body: bytes) -> Rows:
    """Read a request in plain rows.

    Raises:
        Malformed: it is not one.
    """
    return decode(_ROWS, body, "a JSON object with rows")


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw, wanted: str) -> T:
    """Read JSON of a known shape.

    Raises:
        Malformed: it has another one.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(wanted, str(error) or type(error).__name__) from error


def columns(request: Infer, inputs: Inputs, known: Iterable[str]) -> Columns:
    """Take the columns that a version reads out of a request.

    Args:
        inputs: The version's inputs by name.
        known: Columns that may be there without being read.
    Raises:
        Malformed: a tensor contradicts itself, the others or the version.
        UnknownName: nobody knows a column.
    """
    if not request.inputs:
        raise Malformed("at least one input", "none")
    rows = request.inputs[0].shape[:1]
    taken: Columns = {}
    seen = set()
    for tensor in request.inputs:
        if tensor.name in seen:
            raise Malformed("each input once", f"{tensor.name} twice")
        seen.add(tensor.name)
        if tensor.shape[:1] != rows:
            raise Malformed(f"{rows} rows in {tensor.name}, as before", str(tensor.shape[:1]))
        if spec := inputs.get(tensor.name):
            taken[tensor.name] = _values(tensor, spec)
        elif tensor.name not in known:
            raise UnknownName("column", tensor.name, known)
    return taken


def _values(tensor: Tensor, spec: Mapping[str, Any]) -> Any:
    _check_type(tensor, spec["datatype"])
    _check_shape(tensor, spec["shape"])
    if len(tensor.shape) > 1:
        return _image(tensor)
    decoder: Any = _INTEGER_LIST if tensor.datatype in _INTEGERS else _FLOAT_LIST
    decoder = _TEXT_LIST if tensor.datatype == "BYTES" else decoder
    values: list[Any] = decode(decoder, tensor.data, f"{tensor.datatype} values in {tensor.name}")
    if len(values) != tensor.shape[0]:
        raise Malformed(f"{tensor.shape[0]} values in {tensor.name}", str(len(values)))
    if tensor.datatype in _INTEGERS:
        _check_range(tensor, [value for value in values if value is not None])
    return values


def _check_type(tensor: Tensor, wanted: str) -> None:
    if tensor.datatype not in _DATATYPES:
        raise Malformed("a datatype of the protocol", repr(tensor.datatype))
    # Every number fits a number column: a client's integers need no conversion of its own.
    allowed = (*_FLOATS, *_INTEGERS) if wanted == "FP64" else (wanted,)
    if tensor.datatype not in allowed:
        raise Malformed(f"{wanted} for {tensor.name}", tensor.datatype)


def _check_shape(tensor: Tensor, wanted: Sequence[int]) -> None:
    fits = len(tensor.shape) == len(wanted) and tensor.shape[1:] == list(wanted[1:])
    if not fits or tensor.shape[0] < 1:
        raise Malformed(f"the shape {list(wanted)} for {tensor.name}", str(tensor.shape))


def _check_range(tensor: Tensor, values: Sequence[int]) -> None:
    bounds = np.iinfo(tensor.datatype.lower())
    if values and not (bounds.min <= min(values) and max(values) <= bounds.max):
        raise Malformed(f"{tensor.datatype} values in {tensor.name}", "one out of its range")


def _image(tensor: Tensor) -> NDArray[Any]:
    nested = decode(msgspec.json.Decoder(Any), tensor.data, f"data in {tensor.name}")
    try:
        pixels = np.asarray(nested)
        flat = pixels.ndim == 1
        whole = pixels.reshape(tensor.shape) if flat else pixels
    except ValueError as error:
        raise Malformed(f"data of shape {tensor.shape} in {tensor.name}", "other") from error
    if list(whole.shape) != tensor.shape:
        raise Malformed(f"data of shape {tensor.shape} in {tensor.name}", str(list(whole.shape)))
    return whole


def columns_of_rows(request: Rows, inputs: Inputs, known: Iterable[str]) -> Columns:
    """Take the columns that a version reads out of plain rows; an absent value is missing.

    Raises:
        Malformed: there are no rows, or a value is of the wrong type.
        UnknownName: nobody knows a column.
    """
    if not request.rows:
        raise Malformed("at least one row", "none")
    there = dict.fromkeys(name for row in request.rows for name in row)
    for name in there:
        if name not in inputs and name not in known:
            raise UnknownName("column", name, known)
    return {
        name: [_value(name, row.get(name), inputs[name]["datatype"]) for row in request.rows]
        for name in there
        if name in inputs
    }


def _value(name: str, value: Any, datatype: str) -> Any:
    wanted: dict[str, tuple[type, ...]] = {"FP64": (int, float), "BYTES": (str,), "UINT8": (list,)}
    if value is None and datatype != "UINT8":
        return None
    if isinstance(value, bool) or not isinstance(value, wanted[datatype]):
        words = {"FP64": "a number", "BYTES": "a text", "UINT8": "rows of pixels"}
        raise Malformed(f"{words[datatype]} for {name}", repr(value)[:40])
    return value


def check_outputs(request: Infer, version: Version) -> None:
    """Refuse a request for an output that there is not.

    Raises:
        UnknownName: it asks for one.
    """
    offered = [output["name"] for output in version.outputs]
    for wanted in request.outputs or ():
        if wanted.name not in offered:
            raise UnknownName("output", wanted.name, offered)


def answer(
    model: str, version: Version, request: Infer, scores: NDArray[np.float32]
) -> dict[str, Any]:
    """Write the answer to an inference request; its id only if it had one."""
    offered = {output["name"]: output["datatype"] for output in version.outputs}
    names = [wanted.name for wanted in request.outputs or ()] or list(offered)
    task, outputs = version.bundle.task, []
    for name in names:
        made = form_of(task).tensor(name, scores, task)
        shape, data = list(made.shape), made.ravel().tolist()
        outputs.append({"name": name, "shape": shape, "datatype": offered[name], "data": data})
    identity = {"id": request.id} if request.id is not None else {}
    return {"model_name": model, "model_version": version.name, **identity, "outputs": outputs}


def answer_rows(
    model: str, version: Version, request: Rows, scores: NDArray[np.float32]
) -> dict[str, Any]:
    """Write the answer to plain rows: per row a label with the scores by class, or a value."""
    identity = {"id": request.id} if request.id is not None else {}
    predictions = form_of(version.bundle.task).plain(scores, version.bundle.task)
    head = {"model_name": model, "model_version": version.name, **identity}
    return {**head, "predictions": predictions}


def write(value: Any) -> bytes:
    """Write JSON."""
    return _ENCODER.encode(value)
