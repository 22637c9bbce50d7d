"""The processor, with the machine's memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch

from instar.core.tools import Machine
from instar.stages.train.devices.device import Step

SHARE = 0.7  # of the memory that is free; the rest is for whatever else is done there
_FEW = 8  # rows that a step is tried with; what more of them keep is in proportion
_GROUP = Path("/sys/fs/cgroup")


class Cpu:
    """Compute on the processor; memory is the policy's, or 70 % of what is free."""

    name = "cpu"
    place = torch.device("cpu")

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine or Machine()

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        yield

    def allowed(self) -> int:
        if self._machine.memory_bytes is not None:
            return self._machine.memory_bytes
        return int(SHARE * free())

    def holds(self, size: int) -> bool:
        return True  # they lie there already

    def fits(self, step: Step, rows: int, beside: int) -> bool:
        """Reckon what a step keeps for its way back from what a few rows keep.

        A system that lends more memory than it has ends a process without a word, so that nothing
        would be learnt from a step that does not fit. The way back holds as much again.
        """
        few = min(rows, _FEW)
        with kept() as count:
            step(few)
        return beside + 2 * count() * rows / few <= self.allowed()

    def release(self) -> None:
        """Do nothing: the allocator gives memory back by itself."""

    def precision(self) -> str:
        return "fp32"

    def lays_channels_last(self) -> bool:
        return False

    def random(self) -> None:
        """Have no random numbers besides torch's."""

    def seed(self, state: torch.Tensor) -> None:
        """Do nothing; see `random`."""

    def seeds(self) -> list[int]:
        return []


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
