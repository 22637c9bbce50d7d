"""Fingerprints against what NumPy and a plain walk give for the same tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from safetensors.torch import save

from instar.core.codec import decode, encode
from instar.core.digest import canonical
from instar.core.fingerprint import NoFingerprint, fingerprint
from instar.core.records import Fingerprint, Training
from tests.service import line

TENSORS = {
    "b": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a": torch.tensor([1, -2], dtype=torch.int64),
    "é": torch.tensor(0.5),
    "z": torch.zeros(0, 4),
}


def root(tensors: Mapping[str, torch.Tensor]) -> str:
    return fingerprint(save(dict(tensors))).root


def test_print_of_a_tensor_is_the_hash_of_type_shape_and_little_endian_bytes() -> None:
    found = {tensor.name: tensor for tensor in fingerprint(save(TENSORS)).tensors}
    names = {"b": "F32", "a": "I64", "é": "F32", "z": "F32"}
    for name, tensor in TENSORS.items():
        array = tensor.numpy()
        little = array.astype(array.dtype.newbyteorder("<"))
        text = json.dumps([names[name], list(array.shape)], separators=(",", ":"))
        wanted = hashlib.sha256(text.encode() + b"\n" + little.tobytes()).hexdigest()
        assert found[name].digest == f"sha256:{wanted}"
        assert (found[name].dtype, found[name].shape) == (names[name], tuple(array.shape))


def by_definition(items: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it stands there."""
    if len(items) == 1:
        return hashlib.sha256(b"\x00" + items[0]).digest()
    half = 1 << (len(items) - 1).bit_length() - 1
    both = by_definition(items[:half]) + by_definition(items[half:])
    return hashlib.sha256(b"\x01" + both).digest()


def test_root_is_over_the_prints_in_order_of_names() -> None:
    found = fingerprint(save(TENSORS))
    assert [tensor.name for tensor in found.tensors] == ["a", "b", "z", "é"]
    leaves = [
        canonical({"name": t.name, "dtype": t.dtype, "shape": list(t.shape), "digest": t.digest})
        for t in found.tensors
    ]
    assert found.root == f"sha256:{by_definition(leaves).hex()}"


@pytest.mark.parametrize(
    "other",
    [
        {**TENSORS, "b": TENSORS["b"].reshape(3, 2)},
        {**TENSORS, "b": TENSORS["b"].double()},
        {**TENSORS, "a": torch.tensor([1, -3])},
        {("c" if name == "b" else name): tensor for name, tensor in TENSORS.items()},
        {name: tensor for name, tensor in TENSORS.items() if name != "z"},
        {**TENSORS, "é": torch.tensor([0.5])},
    ],
    ids=["shape", "type", "value", "name", "fewer", "scalar"],
)
def test_root_tells_of_every_change(other: Mapping[str, torch.Tensor]) -> None:
    assert root(other) != root(TENSORS)


def test_root_does_not_depend_on_how_the_file_is_laid_out() -> None:
    turned = dict(reversed(TENSORS.items()))
    assert root(turned) == root(TENSORS)


def test_half_precision_and_turned_tensors_are_taken_as_they_are_kept() -> None:
    half = {"w": torch.ones(3, dtype=torch.bfloat16)}
    assert fingerprint(save(half)).tensors[0].dtype == "BF16"
    turned = torch.from_numpy(np.arange(6.0).reshape(2, 3)).T
    assert root({"w": turned.contiguous()}) == root({"w": turned.clone().contiguous()})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no tensors at all",
        (2).to_bytes(8, "little") + b"[]",
        save(TENSORS)[:-1],
        (20).to_bytes(8, "little") + b'{"w":{"dtype":"F3"}}',
    ],
)
def test_bytes_that_are_no_safetensors_have_no_fingerprint(data: bytes) -> None:
    with pytest.raises(NoFingerprint):
        fingerprint(data)


def test_training_from_before_there_were_fingerprints_is_read() -> None:
    old = {k: v for k, v in encode(line.TRAINING).items() if k not in ("before", "environment")}
    assert decode(Training, old).before is None
    found = fingerprint(save(TENSORS))
    assert decode(Fingerprint, encode(found)) == found
