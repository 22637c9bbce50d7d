"""How much memory there is, and how much a network keeps while it learns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch

from instar.core.tools import Machine

SHARE = 0.7  # of the memory that is free; the rest is for whatever else is done there
_GROUP = Path("/sys/fs/cgroup")


def allowed(machine: Machine) -> int:
    """Say how many bytes a training may take: the policy's, or 70 % of what is free."""
    if machine.memory_bytes is not None:
        return machine.memory_bytes
    return int(SHARE * free())


def free(group: Path = _GROUP) -> int:
    """Count the bytes that are free here, also where a container is given less than there is.

    Files that the kernel keeps in memory as long as nobody needs it count as free.
    """
    least = int(psutil.virtual_memory().available)
    limit, used = (_whole(_text(group / name)) for name in ("memory.max", "memory.current"))
    if limit is not None and used is not None:
        cached = [line.split() for line in _text(group / "memory.stat").splitlines()]
        files = sum(int(words[1]) for words in cached if words[0] == "inactive_file")
        least = min(least, max(0, limit - used + files))
    return least


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except OSError:
        return ""


def _whole(text: str) -> int | None:
    return int(text) if text.isdigit() else None  # "max" is no limit


@contextlib.contextmanager
def kept() -> Iterator[Callable[[], int]]:
    """Count the bytes of tensors that are kept for the way back, without parameters.

    Example:
        >>> x = torch.ones(10, 4)
        >>> layer = torch.nn.Linear(4, 3)
        >>> with kept() as count:
        ...     out = layer(x).sigmoid()
        >>> count()
        280
    """
    sizes: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        base = tensor if tensor._base is None else tensor._base  # noqa: SLF001  # no public name
        if not isinstance(base, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield lambda: sum(sizes.values())
