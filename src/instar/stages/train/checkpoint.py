"""Where a training stands, on disk: enough to go on bit for bit, and never a pickle.

One file: a line with the digest of the rest, then safetensors bytes. Tensors are named
`net/...`, `best/...`, `optimizer/<parameter>/<slot>`, `random/...` and `epoch/...`; what is not a
tensor stands in the header as JSON. The one before is kept beside it, should the disk damage the
last.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import torch as safetensors

from instar.core.crash import crashpoint
from instar.core.digest import digest_bytes
from instar.core.errors import BackendError
from instar.core.tools import Folder

NAME = "training.checkpoint"
BEFORE = f"{NAME}.before"
FORMAT = 4  # one of another format is of another training
_LINE = len(digest_bytes(b"")) + 1


class Unwritable(BackendError):
    """Report a disk that gives back other bytes than it was given."""

    code = "backend.checkpoint"

    def __init__(self) -> None:
        super().__init__(
            "a checkpoint as it was written", "other bytes", "look at the health of the disk"
        )


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
    """Put a checkpoint in the place of the last one: after a crash either is there, and whole.

    It is read back before it counts; the last one becomes the one before.

    Raises:
        Unwritable: what was read back is not what was written.
    """
    data = packed(checkpoint)
    crashpoint("checkpoint.write")
    if NAME in folder.list():
        folder.rename(NAME, BEFORE)
        crashpoint("checkpoint.between")
    folder.keep(NAME, [f"{digest_bytes(data)}\n".encode(), data])
    if _read(folder, NAME) is None:
        raise Unwritable
    crashpoint("checkpoint.done")


def load(folder: Folder, key: str) -> tuple[Checkpoint | None, list[str]]:
    """Read the newest sound checkpoint of the training `key`, and name those that are damaged.

    Damaged ones are removed, so that the next one does not push the sound one out.

    None where there is none, where it belongs to another training, or where the disk has
    damaged both: starting again gives the same weights, only later.
    """
    damaged = []
    there = folder.list()
    for name in (NAME, BEFORE):
        if name not in there:
            continue
        data = _read(folder, name)
        if data is None:
            folder.remove(name)
            damaged.append(name)
            continue
        kept = opened(data)
        if kept.key == key:
            return kept, damaged
    return None, damaged


def packed(checkpoint: Checkpoint) -> bytes:
    """Write a checkpoint as bytes: safetensors, with the plain values in the header."""
    header = {"key": checkpoint.key, "plain": json.dumps(checkpoint.plain)}
    whole = {name: t.detach().cpu().contiguous().clone() for name, t in checkpoint.tensors.items()}
    return safetensors.save(whole, header)


def opened(data: bytes) -> Checkpoint:
    """Read what `packed` wrote."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])["__metadata__"]
    return Checkpoint(header["key"], safetensors.load(data), json.loads(header["plain"]))


def _read(folder: Folder, name: str) -> bytes | None:
    """Read what a file's first line vouches for; None where it does not."""
    raw = folder.read(name)
    data = raw[_LINE:]
    return data if raw[:_LINE] == f"{digest_bytes(data)}\n".encode() else None


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
