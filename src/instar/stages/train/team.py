"""What a process does together with the others that train the same network, step by step.

Each computes its share of every batch. Gradients are summed over all of them in each step (gloo),
so that all take the same step and hold the same weights. Random numbers of a step come from the
seed, the step and the rank: a training that is resumed needs nothing from those that are gone.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import distributed, nn

from instar.core.tools import Group

_SHORT = 10.0  # seconds within which the end of a worker shows once the line to it is cut


class Team:
    """One process of several that train together; each has a `rank`, and the one with 0 leads.

    Args:
        seed: Of the training; random numbers of a step come from it, the step and the rank.
        group: The others, as the leader holds them; None for whoever follows.
    """

    def __init__(self, rank: int, size: int, seed: int, group: Group | None) -> None:
        self.rank, self.size = rank, size
        self._seed, self._group = seed, group

    def share(self, places: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Take this process's share of a batch, and the share's weight in it.

        A batch too small to be shared is computed by everybody, as some layers need two rows.
        """
        if len(places) < 2 * self.size:
            return places, 1 / self.size
        own = places.tensor_split(self.size)[self.rank]
        return own, len(own) / len(places)

    def begin(self, step: int) -> None:
        """Seed a step's random numbers."""
        name = hashlib.sha256(f"{self._seed}/{step}/{self.rank}".encode()).digest()
        torch.manual_seed(int.from_bytes(name[:7]))

    def summed(
        self, gradient: torch.Tensor, loss: torch.Tensor, weight: float, *, stopping: bool
    ) -> bool:
        """Sum gradients, and losses by their weights, in place; tell whether all are to stop.

        Args:
            loss: Of this process's share, ().
        """
        signal = torch.stack([loss * weight, torch.full_like(loss, float(stopping))])
        self._sum(gradient)
        self._sum(signal)
        loss.copy_(signal[0])
        return bool(signal[1] > 0)

    def _sum(self, tensor: torch.Tensor) -> None:
        with self._together():
            distributed.all_reduce(tensor)

    def same(self, net: nn.Module) -> None:
        """Average what a network keeps besides its weights, as each saw its share only."""
        kept = [tensor for tensor in net.buffers() if tensor.is_floating_point()]
        if not kept:
            return
        whole = torch.cat([tensor.flatten() for tensor in kept])
        self._sum(whole)
        parts = torch.split(whole / self.size, [tensor.numel() for tensor in kept])
        with torch.no_grad():
            for tensor, part in zip(kept, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def told(self, data: bytes) -> bytes:
        """Tell everybody what the leader has; the others' own counts for nothing."""
        with self._together():
            size = torch.tensor([len(data)])
            distributed.broadcast(size, 0)
            body = torch.frombuffer(bytearray(data or b"\0"), dtype=torch.uint8)
            if self.rank:
                body = torch.zeros(max(1, int(size)), dtype=torch.uint8)
            if int(size):
                distributed.broadcast(body, 0)
            return body.numpy().tobytes()[: int(size)]

    def judged(self, numbers: Sequence[float]) -> list[float]:
        """Tell everybody the leader's numbers."""
        with self._together():
            told = torch.tensor(numbers, dtype=torch.float64)
            distributed.broadcast(told, 0)
            return [float(number) for number in told]

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Say what became of a worker whose line was cut.

        Raises:
            WorkerLost: it ended without a word; or whatever it raised.
        """
        try:
            yield
        except RuntimeError:
            if self._group is not None:
                self._group.check(within_s=_SHORT)
            raise
