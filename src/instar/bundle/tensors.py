"""The safetensors format, held to the letter, and what other bytes look like. No library reads.

A file is a length (8 bytes, little-endian), that many bytes of JSON, and the tensors' bytes. The
JSON names each tensor's type, shape and place. Nothing of it is believed: every place must lie
inside, next to its neighbour, and be as long as type and shape say. Texts beside the tensors are
refused but for `format`, since tools exist that take such texts for the names of code to run.

Source: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from instar.core.errors import InputError

LARGEST_HEADER = 16 << 20  # bytes; the format allows 100 MB
BITS: Mapping[str, int] = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
}
_LENGTH = 8
_MOST_DIMENSIONS = 16
_ALLOWED_TEXTS = ("format",)
_TODO = "save with safetensors.torch.save_file(net.state_dict(), ...)"
# How other files begin. The first three may hold pickles, which run code when they are opened.
_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"\x04\x22\x4d\x18", "an lz4 file"),
    (b"x\x01", "a zlib file"),
    (b"x\x9c", "a zlib file"),
    (b"x\xda", "a zlib file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"GGUF", "a GGUF file"),
    (b"<", "a text"),
    (b"{", "a text"),
)
_TEXT_PICKLES = (b"(dp", b"(lp", b"(i", b"c__builtin__", b"cbuiltins", b"cposix", b"cos\n", b"ccop")


class PickleRefused(InputError):
    """Refuse a pickle or an archive that may hold one, unopened: reading it can run code."""

    code = "input.pickle"

    def __init__(self) -> None:
        super().__init__(
            "weights as safetensors",
            "a pickle (.pt, .pth, .pkl, .zip)",
            f"{_TODO}, or convert it: instar import-legacy FILE OUT.safetensors",
        )


class NotSafetensors(InputError):
    """Refuse bytes that are no safetensors file, or a damaged one."""

    code = "input.not_safetensors"

    def __init__(self, problem: str) -> None:
        super().__init__("weights as safetensors", problem, _TODO)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies: its type, shape, and its first and last byte (excluded) in the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def header(data: bytes) -> dict[str, Place]:
    """Read where the tensors of a safetensors file lie.

    Raises:
        PickleRefused: the bytes are a pickle or an archive that may hold one.
        NotSafetensors: they are something else, damaged, or say what is not so.
    Example:
        >>> import json
        >>> head = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
        >>> header(len(head).to_bytes(8, "little") + head.encode() + bytes(4))
        {'w': Place(dtype='F32', shape=(1,), begin=0, end=4)}
    """
    length = int.from_bytes(data[:_LENGTH], "little")
    if len(data) <= _LENGTH or data[_LENGTH : _LENGTH + 1] != b"{":
        raise _other(data)
    if length > len(data) - _LENGTH:
        raise _other(data, "a header that is longer than the file")
    if length > LARGEST_HEADER:
        raise NotSafetensors(f"a header of more than {LARGEST_HEADER >> 20} MiB")
    try:
        text = data[_LENGTH : _LENGTH + length].decode()
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_never)
    except (ValueError, RecursionError) as error:
        raise NotSafetensors("a header that is no JSON") from error
    _texts(value.pop("__metadata__", {}))
    places = {name: _place(name, item) for name, item in value.items()}
    _cover(places, len(data) - _LENGTH - length)
    return places


def _other(data: bytes, otherwise: str = "another or a truncated file") -> InputError:
    """Say what bytes look like, by how they begin; they are not opened."""
    if data[:1] == b"\x80" or data[:4] == b"PK\x03\x04" or data.startswith(_TEXT_PICKLES):
        return PickleRefused()
    if data[257:262] == b"ustar":
        return PickleRefused()
    kind = next((kind for mark, kind in _MARKS if data.startswith(mark)), otherwise)
    return NotSafetensors(kind if data else "an empty file")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotSafetensors("a header with the same name twice")
    return value


def _never(text: str) -> None:
    raise NotSafetensors(f"the number {text} in the header")


def _texts(value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise NotSafetensors("texts beside the tensors that are none")
    if strange := sorted(value.keys() - set(_ALLOWED_TEXTS)):
        raise NotSafetensors(f"a text beside the tensors, {strange[0][:80]!r}")


def _place(name: str, item: Any) -> Place:
    shown = repr(name[:80])
    match item:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
            pass
        case _:
            raise NotSafetensors(f"a header without type, shape or place of {shown}")
    if len(item) > 3:
        raise NotSafetensors(f"more in the header than type, shape and place of {shown}")
    if dtype not in BITS:
        raise NotSafetensors(f"{shown} of the unknown type {dtype[:20]!r}")
    if len(shape) > _MOST_DIMENSIONS or not all(type(size) is int and size >= 0 for size in shape):
        raise NotSafetensors(f"{shown} of an impossible shape")
    size = BITS[dtype] // 8
    for length in shape:
        size *= length
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end:
        raise NotSafetensors(f"{shown} in an impossible place")
    if end - begin != size:
        raise NotSafetensors(f"{shown} in a place that its shape does not fill")
    return Place(dtype, tuple(shape), begin, end)


def _cover(places: Mapping[str, Place], size: int) -> None:
    """See that the tensors lie side by side and fill the file: no overlap, no hole, no rest."""
    here = 0
    for name, place in sorted(places.items(), key=lambda item: (item[1].begin, item[1].end)):
        if place.begin != here:
            problem = "that overlaps another" if place.begin < here else "behind a hole"
            raise NotSafetensors(f"{name[:80]!r} in a place {problem}")
        here = place.end
    if here != size:
        raise NotSafetensors("a truncated file" if here > size else "bytes behind the last tensor")
