"""An NVIDIA card, by CUDA; this module is imported only where one is used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from instar.core.tools import Machine
from instar.stages.train.devices.device import Step

SHARE = 0.7  # of the card's memory; 30 % are kept free for what else lives on it
_ROWS = 0.5  # of what is allowed, that rows may take; the rest is for the steps


class Cuda:
    """Compute on the card that torch takes by default, within 70 % of its memory."""

    name = "cuda"

    def __init__(self, machine: Machine) -> None:
        self.place = torch.device("cuda", torch.cuda.current_device())

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        torch.cuda.set_per_process_memory_fraction(SHARE, self.place)
        try:
            yield
        finally:
            self.release()
            torch.cuda.set_per_process_memory_fraction(1.0, self.place)

    def allowed(self) -> int:
        left, whole = torch.cuda.mem_get_info(self.place)
        ours = torch.cuda.memory_reserved(self.place)
        return int(min(SHARE * whole, left + ours))

    def holds(self, size: int) -> bool:
        return size <= _ROWS * self.allowed()

    def fits(self, step: Step, rows: int, beside: int) -> bool:
        """Make the step: the card's allocator says at once where there is too little."""
        there = None
        try:
            there = torch.empty(beside, dtype=torch.uint8, device=self.place)
            step(rows)
            torch.cuda.synchronize(self.place)
        except torch.OutOfMemoryError:
            return False
        else:
            return True
        finally:
            del there
            self.release()

    def release(self) -> None:
        torch.cuda.empty_cache()

    def precision(self) -> str:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"

    def lays_channels_last(self) -> bool:
        return True

    def random(self) -> torch.Tensor:
        return torch.cuda.get_rng_state(self.place)

    def seed(self, state: torch.Tensor) -> None:
        torch.cuda.set_rng_state(state, self.place)

    def seeds(self) -> list[int]:
        return [self.place.index]
