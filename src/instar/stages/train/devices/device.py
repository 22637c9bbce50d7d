"""What a training asks of the device that it computes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import torch

Step = Callable[[int], None]
"""Make one step of the training over so many rows, forward and back; it leaves no trace."""


class Device(Protocol):
    """A processor with its memory.

    `name` is its name in the table, `place` what tensors are moved to.
    """

    @property
    def name(self) -> str: ...

    @property
    def place(self) -> torch.device: ...

    def lent(self) -> AbstractContextManager[None]:
        """Keep to the allowed memory for the while, and give back what was kept at its end."""
        ...

    def allowed(self) -> int:
        """Say how many bytes a training may take there."""
        ...

    def holds(self, size: int) -> bool:
        """Tell whether rows of so many bytes may lie there throughout a training."""
        ...

    def fits(self, step: Step, rows: int, beside: int) -> bool:
        """Tell whether a step over `rows` rows fits, with `beside` bytes of other things."""
        ...

    def release(self) -> None:
        """Give back memory that is kept for later and in nobody's use."""
        ...

    def precision(self) -> str:
        """Name the precision that `auto` means there."""
        ...

    def lays_channels_last(self) -> bool:
        """Tell whether images are faster with their channels last there."""
        ...

    def random(self) -> torch.Tensor | None:
        """Read the state of its own random numbers; None where it has none of its own."""
        ...

    def seed(self, state: torch.Tensor) -> None:
        """Put back what `random` read."""
        ...

    def seeds(self) -> list[int]:
        """List the devices of its kind whose random numbers a training moves."""
        ...
