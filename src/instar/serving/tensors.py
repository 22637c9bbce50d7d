"""The values of a request: from JSON, raw bytes or plain rows to the columns of a bundle.

Sizes are compared before anything is made: what a request declares costs nothing, only what it
sends does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from instar.bundle.columns import NUMBERS, STRINGS
from instar.core.errors import UnknownName
from instar.serving.protocol import Asked, Malformed, Rows, Tensor, decode

Columns = dict[str, Any]
Inputs = Mapping[str, Mapping[str, Any]]

MOST_VALUES = 4 << 20  # rows times columns of one request: what its missing values may grow to

_INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_FLOATS = ("FP32", "FP64")
_HALVES = ("FP16", "BF16")  # in binary only
_NUMERIC = frozenset((*_INTEGERS, *_FLOATS, *_HALVES))
DATATYPES = frozenset((*_NUMERIC, "BOOL", "BYTES"))
_RAW: Mapping[str, str] = {
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "BF16": "<u2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_MATRIX = {"numbers": NUMBERS, "strings": STRINGS}
_INTEGER_LIST = msgspec.json.Decoder(list[int | None])
_FLOAT_LIST = msgspec.json.Decoder(list[float | None])
_TEXT_LIST = msgspec.json.Decoder(list[str | None])
_ANY = msgspec.json.Decoder(Any)
_ONE = [1]

Read = Callable[[Any], list[Any]]


def _bounded(datatype: str) -> Read:
    """Make the reader of whole numbers of a type, which refuses those out of its range."""
    bounds = np.iinfo(datatype.lower())
    within = msgspec.Meta(ge=int(bounds.min), le=int(bounds.max))
    kind: Any = list[Annotated[int, within] | None]
    return msgspec.json.Decoder(kind).decode


# UINT64 is left out: the library's bounds are signed.
_NUMBERS: Mapping[str, Read] = {
    **{name: _bounded(name) for name in _INTEGERS if name != "UINT64"},
    **dict.fromkeys(_FLOATS, _FLOAT_LIST.decode),
}
_READERS: Mapping[str, Mapping[str, Read]] = {
    "FP64": _NUMBERS,
    "BYTES": {"BYTES": _TEXT_LIST.decode},
    "UINT8": {},
}


class Reading:
    """What reads the columns of one version; made once, with its shelf.

    Args:
        inputs: The version's inputs by name.
        packed: Matrices that may stand for all columns of a kind.
        known: Columns that may be there without being read.
    """

    def __init__(self, inputs: Inputs, packed: Inputs, known: Collection[str]) -> None:
        self._inputs, self._packed, self._known = inputs, packed, known
        self._readers = {name: _READERS[item["datatype"]] for name, item in inputs.items()}
        offered = "numbers" in packed and "numbers" not in known
        self._matrix = [1, packed["numbers"]["shape"][1]] if offered else [0]

    def __call__(self, asked: Asked) -> Columns:
        """Take the columns out of a request; see `columns`."""
        if asked.raw is None and not asked.blobs:
            found = self._quick(asked.infer.inputs)
            if found is not None:
                return found
        return columns(asked, self._inputs, self._known, self._packed)

    def _quick(self, tensors: Sequence[Tensor]) -> Columns | None:
        """Read one row in JSON; None where it is anything else, or wrong: the long way says how."""
        taken: Columns = {}
        readers = self._readers
        try:
            if len(tensors) == 1 and (tensor := tensors[0]).shape == self._matrix:
                values = _NUMBERS[tensor.datatype](tensor.data)
                whole = tensor.name == "numbers" and len(values) == self._matrix[1]
                return {NUMBERS: [values]} if whole else None
            for tensor in tensors:
                values = readers[tensor.name][tensor.datatype](tensor.data)
                if len(values) != 1 or tensor.shape != _ONE:
                    return None
                taken[tensor.name] = values
        except (KeyError, TypeError, msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        return taken if taken and len(taken) == len(tensors) else None


def columns(
    asked: Asked, inputs: Inputs, known: Iterable[str], packed: Inputs = MappingProxyType({})
) -> Columns:
    """Take the columns that a version reads out of a request.

    Args:
        asked: The request.
        inputs: The version's inputs by name.
        known: Columns that may be there without being read.
        packed: Matrices that may stand for all columns of a kind.
    Raises:
        Malformed: a tensor contradicts itself, the others or the version.
        UnknownName: nobody knows a column.
    """
    if asked.raw is not None:
        return _single(asked.raw, inputs)
    tensors = asked.infer.inputs
    if not tensors:
        raise Malformed("at least one input", "none")
    first = tensors[0].shape[:1]
    if first and first[0] * (len(inputs) or 1) > MOST_VALUES:
        raise Malformed(f"at most {MOST_VALUES // (len(inputs) or 1):,} rows", str(first[0]))
    taken: Columns = {}
    seen = set()
    for place, tensor in enumerate(tensors):
        name = tensor.name
        if name in seen:
            raise Malformed("each input once", f"{name} twice")
        seen.add(name)
        if tensor.shape[:1] != first:
            raise Malformed(f"{first} rows in {name}, as before", str(tensor.shape[:1]))
        blob = asked.blobs[place] if asked.blobs else None
        if blob is None and tensor.data is msgspec.UNSET:
            raise Malformed(f"data in {name}", "none")
        if spec := inputs.get(name):
            taken[name] = _values(tensor, spec, blob)
        elif name in packed and name not in known:
            taken[_MATRIX[name]] = _matrix(tensor, packed[name], blob)
        elif name not in known:
            raise UnknownName("column", name, known)
    for name, key in _MATRIX.items():
        if key in taken:
            kind = "BYTES" if key == STRINGS else "FP64"
            if double := [n for n in taken if n in inputs and inputs[n]["datatype"] == kind]:
                raise Malformed("each column once", f"{double[0]}, and {name} that hold it")
    return taken


def _values(tensor: Tensor, spec: Mapping[str, Any], blob: memoryview | None) -> Any:
    """Read one input that has the shape of a column or of images."""
    _check_type(tensor, spec["datatype"], binary=blob is not None)
    _check_shape(tensor, spec["shape"])
    if blob is not None:
        return _unpacked(tensor, blob)
    if len(tensor.shape) > 1:
        return _pixels(tensor)
    return _listed(tensor, tensor.shape[0])


def _matrix(tensor: Tensor, spec: Mapping[str, Any], blob: memoryview | None) -> Any:
    """Read all numbers, or all texts, of some rows."""
    _check_type(tensor, "FP64" if spec["datatype"] == "FP32" else "BYTES", binary=blob is not None)
    _check_shape(tensor, spec["shape"])
    rows, width = tensor.shape
    if blob is not None:
        return _unpacked(tensor, blob)
    data = bytes(_data(tensor))
    if data[1:].lstrip()[:1] == b"[":
        nested: Any = decode(_ANY, data, f"data in {tensor.name}")
        if len(nested) != rows or any(type(row) is not list or len(row) != width for row in nested):
            raise Malformed(f"data of shape {tensor.shape} in {tensor.name}", "other")
        flat = msgspec.json.encode([value for row in nested for value in row])
        values = _read(tensor, flat, rows * width)
    else:
        values = _read(tensor, data, rows * width)
    return [values[at : at + width] for at in range(0, rows * width, width)]


def _listed(tensor: Tensor, count: int) -> list[Any]:
    return _read(tensor, _data(tensor), count)


def _read(tensor: Tensor, data: bytes | msgspec.Raw, count: int) -> list[Any]:
    datatype = tensor.datatype
    decoder: Any = _FLOAT_LIST
    if datatype == "BYTES":
        decoder = _TEXT_LIST
    elif datatype in _INTEGERS:
        decoder = _INTEGER_LIST
    values: list[Any] = decode(decoder, data, f"{datatype} values in {tensor.name}")
    if len(values) != count:
        raise Malformed(f"{count} values in {tensor.name}", str(len(values)))
    if decoder is _INTEGER_LIST:
        _check_range(tensor, [value for value in values if value is not None])
    return values


def _data(tensor: Tensor) -> msgspec.Raw:
    if isinstance(tensor.data, msgspec.UnsetType):
        raise Malformed(f"data in {tensor.name}", "none")
    return tensor.data


def _check_type(tensor: Tensor, spec: str, *, binary: bool) -> None:
    datatype = tensor.datatype
    if datatype == spec:
        return
    if datatype not in DATATYPES:
        raise Malformed("a datatype of the protocol", repr(datatype[:40]))
    # Every number fits a number column: a client's integers need no conversion of its own.
    if spec != "FP64" or datatype not in _NUMERIC:
        raise Malformed(f"{spec} for {tensor.name}", datatype)
    if datatype in _HALVES and not binary:
        raise Malformed(f"{datatype} as a binary tensor", f"JSON for {tensor.name}")


def _check_shape(tensor: Tensor, spec: Sequence[int]) -> None:
    shape = tensor.shape
    if len(shape) != len(spec) or shape[1:] != spec[1:] or shape[0] < 1:
        raise Malformed(f"the shape {list(spec)} for {tensor.name}", str(shape[:9]))


def _check_range(tensor: Tensor, values: Sequence[int]) -> None:
    bounds = np.iinfo(tensor.datatype.lower())
    if values and not (bounds.min <= min(values) and max(values) <= bounds.max):
        raise Malformed(f"{tensor.datatype} values in {tensor.name}", "one out of its range")


def _pixels(tensor: Tensor) -> NDArray[Any]:
    nested = decode(_ANY, _data(tensor), f"data in {tensor.name}")
    try:
        pixels = np.asarray(nested)
        flat = pixels.ndim == 1
        whole = pixels.reshape(tensor.shape) if flat else pixels
    except ValueError as error:
        raise Malformed(f"data of shape {tensor.shape} in {tensor.name}", "other") from error
    if list(whole.shape) != tensor.shape:
        raise Malformed(f"data of shape {tensor.shape} in {tensor.name}", str(list(whole.shape)))
    return whole


def _unpacked(tensor: Tensor, blob: memoryview) -> Any:
    """Read raw values: little-endian, row-major, without padding."""
    if tensor.datatype == "BYTES":
        texts = _texts(tensor, blob)
        if len(tensor.shape) == 1:
            return texts
        width = tensor.shape[1]
        return [texts[at : at + width] for at in range(0, len(texts), width)]
    kind = np.dtype(_RAW[tensor.datatype])
    size = math.prod(tensor.shape) * kind.itemsize
    if len(blob) != size:
        raise Malformed(f"{size} bytes in {tensor.name}", str(len(blob)))
    flat: NDArray[Any] = np.frombuffer(blob, kind)
    if tensor.datatype == "BF16":  # the upper half of a FP32
        flat = (flat.astype("<u4") << 16).view("<f4")
    return flat.reshape(tensor.shape)


def _texts(tensor: Tensor, blob: memoryview) -> list[str]:
    """Read texts, each behind its length in 4 bytes."""
    count, at, end = math.prod(tensor.shape), 0, len(blob)
    texts: list[str] = []
    if 4 * count > end:
        raise Malformed(f"{count} texts in {tensor.name}", f"{end} bytes")
    while at < end:
        begin = at + 4
        at = begin + int.from_bytes(blob[at:begin], "little")
        if begin > end or at > end or len(texts) == count:
            raise Malformed(f"{count} texts, each behind its length, in {tensor.name}", "other")
        try:
            texts.append(str(blob[begin:at], "utf-8"))
        except UnicodeDecodeError as error:
            raise Malformed(f"UTF-8 text in {tensor.name}", "other bytes") from error
    if len(texts) != count:
        raise Malformed(f"{count} texts in {tensor.name}", str(len(texts)))
    return texts


def _single(raw: memoryview, inputs: Inputs) -> Columns:
    """Read a body that is the one input of the model: a batch of one."""
    if len(inputs) != 1:
        raise Malformed("a raw tensor only for a model with one input", f"{len(inputs)} inputs")
    (name, spec), *_ = inputs.items()
    shape = [1, *spec["shape"][1:]]
    return {name: _unpacked(Tensor(name, shape, spec["datatype"]), raw)}


def columns_of_rows(request: Rows, inputs: Inputs, known: Iterable[str]) -> Columns:
    """Take the columns that a version reads out of plain rows; an absent value is missing.

    Raises:
        Malformed: there are no rows, too many, or a value is of the wrong type.
        UnknownName: nobody knows a column.
    """
    rows = request.rows
    if not rows:
        raise Malformed("at least one row", "none")
    if len(rows) * (len(inputs) or 1) > MOST_VALUES:
        raise Malformed(f"at most {MOST_VALUES // len(inputs):,} rows", str(len(rows)))
    there = dict.fromkeys(name for row in rows for name in row)
    for name in there:
        if name not in inputs and name not in known:
            raise UnknownName("column", name, known)
    return {
        name: [_value(name, row.get(name), inputs[name]["datatype"]) for row in rows]
        for name in there
        if name in inputs
    }


_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "FP64": ((int, float), "a number"),
    "BYTES": ((str,), "a text"),
    "UINT8": ((list,), "rows of pixels"),
}


def _value(name: str, value: Any, datatype: str) -> Any:
    if value is None and datatype != "UINT8":
        return None
    kinds, words = _KINDS[datatype]
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise Malformed(f"{words} for {name}", repr(value)[:40])
    return value
