"""Several processes at one training: each computes its share of every batch.

The one that leads is the stage's own process. It holds checkpoints, progress and the word on when
to stop; the others make the same training ready from the same inputs, and follow. Gradients are
summed over all of them in each step (gloo), so that all take the same step and hold the same
weights. Random numbers of a step come from the seed, the step and the rank: a training that is
resumed needs nothing from those that are gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed import FileStore  # type: ignore[attr-defined]  # it is public all the same

from instar.core.errors import Interrupted
from instar.core.policy import TrainPolicy
from instar.core.records import Epoch
from instar.core.tools import Group
from instar.models.strategies import Route
from instar.stages.train.attempt import Attempt, Given, carried_out, ready
from instar.stages.train.away import Parcel, pack
from instar.stages.train.loop import Keeper

_FILE = "meeting"
_LONG = timedelta(minutes=30)  # for a step; a worker that has died is noticed at once
_SHORT = 10.0  # seconds within which the end of a worker shows once the line to it is cut


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do: take part as `rank` of `size` in a training that is settled."""

    rank: int
    size: int
    file: Path
    parcel: Parcel
    route: Route
    policy: TrainPolicy


class Team:
    """One process of several that train together; see `loop.Team`."""

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


def members(attempt: Attempt) -> int:
    """Count the processes of a training; a card, and what makes no steps, is for one alone."""
    alone = attempt.route.fit != "steps" or attempt.compute.device.place.type != "cpu"
    return 1 if alone else attempt.policy.workers


@contextlib.contextmanager
def led(given: Given, attempt: Attempt) -> Iterator[Team | None]:
    """Lead the workers that the policy asks for, for the while; None where it is one alone.

    Raises:
        WorkerLost: one ended without a word; or what one raised.
    """
    size = members(attempt)
    if size == 1:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="instar-") as name:
        folder = Path(name)
        orders = [_order(rank, given, attempt, folder) for rank in range(1, size)]
        with given.tools.engine.group(follow, orders) as group:
            store = _store(folder / _FILE, size)
            for order in orders:
                while not store.check([str(order.rank)]):
                    group.check(within_s=0.05)
                    given.tools.pulse.beat()
                    if given.tools.pulse.stopping():
                        raise Interrupted("before the workers were ready")
            with _joined(store, 0, size):
                yield Team(0, size, given.tools.seed, group)


def _order(rank: int, given: Given, attempt: Attempt, folder: Path) -> Order:
    scratch = folder / str(rank)
    scratch.mkdir()
    parcel = pack(given, scratch, attempt.start.reading.allowed)
    # The route is settled, the batch that memory has room for included: it is to be taken as it is.
    policy = replace(attempt.policy, lr=None, batch=None)
    return Order(rank, attempt.policy.workers, folder / _FILE, parcel, attempt.route, policy)


def follow(order: Order) -> None:
    """Take part in a training; what comes of it stays with the leader."""
    torch.set_num_threads(order.policy.threads)
    given = order.parcel.opened()
    with given.device.lent():
        attempt = ready(given, order.route, order.policy)
        silent = Keeper(attempt.keeper.folder, attempt.keeper.key, given.tools.clock, float("inf"))
        store = _store(order.file, order.size)
        store.set(str(order.rank), "ready")
        with _joined(store, order.rank, order.size), contextlib.suppress(Interrupted):
            team = Team(order.rank, order.size, given.tools.seed, None)
            carried_out(replace(attempt, keeper=silent), _nobody, team)


def _nobody(epoch: Epoch) -> None:
    """Tell nobody: the leader does."""


def _store(file: Path, size: int) -> FileStore:
    return FileStore(str(file), size)


@contextlib.contextmanager
def _joined(store: FileStore, rank: int, size: int) -> Iterator[None]:
    """Join the others; they are processes of this machine, and nobody outside is to hear them."""
    before = os.environ.get("GLOO_SOCKET_IFNAME")
    os.environ["GLOO_SOCKET_IFNAME"] = before or "lo"
    try:
        distributed.init_process_group(
            "gloo", store=store, rank=rank, world_size=size, timeout=_LONG
        )
    finally:
        if before is None:
            del os.environ["GLOO_SOCKET_IFNAME"]
    try:
        yield
    finally:
        distributed.destroy_process_group()
