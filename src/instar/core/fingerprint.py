"""The parameters of a network as digests, read from the safetensors bytes that hold them.

Nothing but the standard library is needed, so that a stranger can check a fingerprint, and a door
can take one without a tensor library.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from instar.core.codec import encode
from instar.core.digest import PREFIX, canonical
from instar.core.errors import IntegrityError
from instar.core.merkle import Frontier
from instar.core.records import Fingerprint, TensorPrint

_LENGTH = 8  # a safetensors file opens with the length of its JSON header, little-endian


class NoFingerprint(IntegrityError):
    """Report recorded weights that are no safetensors file."""

    code = "integrity.no_fingerprint"

    def __init__(self, problem: str) -> None:
        super().__init__("weights as safetensors", problem, "restore them from a backup")


def fingerprint(weights: bytes) -> Fingerprint:
    """Name every tensor by the SHA-256 of its type, its shape and its bytes, and all by one root.

    What is hashed of a tensor is the canonical JSON of `[type, [sizes]]`, a newline, and its
    values, little-endian and row-major as safetensors keeps them. The leaves of the tree are the
    canonical JSON of the tensors' prints, in the order of their names as UTF-8.

    Args:
        weights: A safetensors file.
    Raises:
        NoFingerprint: the bytes are something else.
    Source:
        RFC 6962, section 2.1, for the tree; the safetensors format, version 0.4.
    Example:
        >>> head = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        >>> found = fingerprint(len(head).to_bytes(8, "little") + head + bytes(4))
        >>> [(tensor.name, tensor.dtype, tensor.shape) for tensor in found.tensors]
        [('w', 'F32', (1,))]
    """
    size = int.from_bytes(weights[:_LENGTH], "little")
    values = memoryview(weights)[_LENGTH + size :]
    try:
        header = json.loads(weights[_LENGTH : _LENGTH + size])
        header.pop("__metadata__", None)
        names = sorted(header, key=str.encode)
        tensors = tuple(_print(name, header[name], values) for name in names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoFingerprint("something that is none") from error
    tree = Frontier()
    for each in tensors:
        tree.add(canonical(encode(each)))
    return Fingerprint(PREFIX + tree.root().hex(), tensors)


def _print(name: str, about: dict[str, Any], values: memoryview) -> TensorPrint:
    begin, end = about["data_offsets"]
    dtype, shape = str(about["dtype"]), tuple(int(size) for size in about["shape"])
    if not 0 <= begin <= end <= len(values):
        raise ValueError(name)
    seen = hashlib.sha256(canonical([dtype, list(shape)]) + b"\n")
    seen.update(values[begin:end])
    return TensorPrint(name, dtype, shape, PREFIX + seen.hexdigest())
