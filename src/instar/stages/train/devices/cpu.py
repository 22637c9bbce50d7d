"""The processor, with the machine's memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from instar.core.tools import Machine
from instar.models.memory import allowed, kept
from instar.stages.train.devices.device import Step

_FEW = 8  # rows that a step is tried with; what more of them keep is in proportion


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
        return allowed(self._machine)

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
