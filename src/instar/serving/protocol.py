"""The Open Inference Protocol: what a request says. No sockets here, and no values yet.

A body is JSON, or JSON with raw tensors behind it, or one raw tensor alone. Sources:
`specification/protocol/inference_rest.md` of https://github.com/kserve/open-inference-protocol and
`docs/protocol/extension_binary_data.md` of https://github.com/triton-inference-server/server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from instar.core.errors import InputError, UnknownName

T = TypeVar("T")
Parameters = dict[str, str | int | float | bool]

# A number in JSON may be two bytes and takes more than thirty in memory: a larger body than this
# must come as binary tensors.
MOST_JSON = 16 << 20


class Malformed(InputError):
    """Refuse a request that is not what the protocol says."""

    code = "request.malformed"

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(wanted, got, "correct the request")


class TooLarge(InputError):
    """Refuse a body over the limit."""

    code = "request.too_large"

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(
            f"{what} of at most {limit >> 20} MiB", "a larger one", "send fewer rows, or binary"
        )


class Tensor(msgspec.Struct):
    """One input: a raw column. `null` in `data` is a missing value."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: Parameters | None = None


class Wanted(msgspec.Struct):
    """One output that the client asks for."""

    name: str
    parameters: Parameters | None = None


class Infer(msgspec.Struct):
    """The JSON of an inference request."""

    inputs: list[Tensor]
    id: str | None = None
    outputs: list[Wanted] | None = None
    parameters: Parameters | None = None


class Rows(msgspec.Struct):
    """The body of a request in plain rows, for people."""

    rows: list[dict[str, Any]]
    id: str | None = None


class Asked(msgspec.Struct):
    """An inference request with the bytes of its binary inputs, None where an input is in JSON.

    `raw` is the body of a request that is one tensor and nothing else.
    """

    infer: Infer
    blobs: Sequence[memoryview | None] = ()
    raw: memoryview | None = None


_INFER = msgspec.json.Decoder(Infer)
_ROWS = msgspec.json.Decoder(Rows)


def read_infer(body: bytes, header: bytes | None = None) -> Asked:
    """Read an inference request.

    Args:
        body: The body, unpacked.
        header: The header `Inference-Header-Content-Length`; None if there is none.
    Raises:
        Malformed: it is no request.
        TooLarge: its JSON is.
    """
    if header is None:
        if len(body) > MOST_JSON:
            raise TooLarge("a body in JSON", MOST_JSON)
        try:
            return Asked(_INFER.decode(body))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return Asked(decode(_INFER, body, "an inference request"))  # which says what is wrong
    length = _length(header, len(body))
    if length == 0:
        raw = memoryview(body)
        return Asked(Infer([], parameters={"binary_data_output": True}), raw=raw)
    if length > MOST_JSON:
        raise TooLarge("a head in JSON", MOST_JSON)
    infer = decode(_INFER, body[:length], "an inference request")
    return Asked(infer, _blobs(infer, memoryview(body)[length:]))


def read_rows(body: bytes) -> Rows:
    """Read a request in plain rows.

    Raises:
        Malformed: it is not one.
        TooLarge: it is too large.
    """
    if len(body) > MOST_JSON:
        raise TooLarge("a body in JSON", MOST_JSON)
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


def _length(header: bytes, size: int) -> int:
    text = header.decode("latin-1")
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Malformed("a number in Inference-Header-Content-Length", repr(text[:40]))
    if int(text) > size:
        raise Malformed(f"a head within the body's {size} bytes", f"one of {int(text)}")
    return int(text)


def _blobs(infer: Infer, rest: memoryview) -> list[memoryview | None]:
    """Cut what stands behind the JSON into the binary inputs, in their order."""
    blobs: list[memoryview | None] = []
    at = 0
    for tensor in infer.inputs:
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            if tensor.data is msgspec.UNSET:
                raise Malformed(f"data or binary_data_size in {tensor.name}", "neither")
            blobs.append(None)
            continue
        if tensor.data is not msgspec.UNSET:
            raise Malformed(f"data or binary_data_size in {tensor.name}", "both")
        if type(size) is not int or size < 0:
            raise Malformed(f"bytes as binary_data_size of {tensor.name}", repr(size)[:40])
        if at + size > len(rest):
            raise Malformed(f"{at + size} bytes behind the JSON", str(len(rest)))
        blobs.append(rest[at : at + size])
        at += size
    if at != len(rest):
        raise Malformed(f"{at} bytes behind the JSON", str(len(rest)))
    return blobs


def wanted(infer: Infer, offered: Mapping[str, str]) -> list[tuple[str, bool]]:
    """List the outputs to answer with, and which of them in binary.

    Args:
        offered: Datatypes by output name; all are answered where none is asked for.
    Raises:
        UnknownName: it asks for an output that there is not.
        Malformed: it asks for one twice, or a parameter of the extension is no boolean.
    """
    binary = _flag(infer.parameters, "binary_data_output", default=False)
    if infer.outputs is None or not infer.outputs:
        return [(name, binary) for name in offered]
    found: dict[str, bool] = {}
    for output in infer.outputs:
        if output.name not in offered:
            raise UnknownName("output", output.name, offered)
        if output.name in found:
            raise Malformed("each output once", f"{output.name} twice")
        found[output.name] = _flag(output.parameters, "binary_data", default=binary)
    return list(found.items())


def _flag(parameters: Parameters | None, name: str, *, default: bool) -> bool:
    value = default if parameters is None else parameters.get(name, default)
    if not isinstance(value, bool):
        raise Malformed(f"true or false as {name}", repr(value)[:40])
    return value
