"""Where a training stands, on disk: enough to go on bit for bit, and never a pickle.

One file: a line with the digest of the rest, then safetensors bytes. Tensors are named
`net/...`, `best/...`, `optimizer/<parameter>/<slot>` and `random/...`; what is not a tensor
stands in the header as JSON.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import torch as safetensors

from instar.core.digest import digest_bytes
from instar.core.tools import Folder

NAME = "training.checkpoint"
_LINE = len(digest_bytes(b"")) + 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Hold tensors by name, and plain JSON values; `key` names the training it belongs to."""

    key: str
    tensors: Mapping[str, torch.Tensor]
    plain: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """Select the tensors under a prefix, without it."""
        start = f"{prefix}/"
        return {k.removeprefix(start): t for k, t in self.tensors.items() if k.startswith(start)}


def save(folder: Folder, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the last one: after a crash either is there, and whole."""
    header = {"key": checkpoint.key, "plain": json.dumps(checkpoint.plain)}
    whole = {name: t.detach().contiguous().clone() for name, t in checkpoint.tensors.items()}
    data = safetensors.save(whole, header)
    folder.keep(NAME, [f"{digest_bytes(data)}\n".encode(), data])


def load(folder: Folder, key: str) -> Checkpoint | None:
    """Read the checkpoint of the training `key`.

    None where there is none, where it belongs to another training, or where the disk has
    damaged it: starting again gives the same weights, only later.
    """
    try:
        raw = folder.read(NAME)
    except FileNotFoundError:
        return None
    data = raw[_LINE:]
    if raw[:_LINE] != f"{digest_bytes(data)}\n".encode():
        return None
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])["__metadata__"]
    if header["key"] != key:
        return None
    return Checkpoint(key, safetensors.load(data), json.loads(header["plain"]))


def pack(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Lay an optimiser's tensors out by name; its settings are built anew, not stored."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}/{slot}": value
        for index, slots in state.items()
        for slot, value in slots.items()
        if isinstance(value, torch.Tensor)
    }


def unpack(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put an optimiser's tensors back."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, _, slot = name.partition("/")
        state.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
