"""Several processes at one training: one leads, the others make it ready, too, and follow.

The one that leads is the stage's own process. It holds checkpoints, progress and the word on when
to stop. What they do together in each step stands in `team`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed
from torch.distributed import FileStore  # type: ignore[attr-defined]  # it is public all the same

from instar.core.errors import Interrupted
from instar.core.policy import TrainPolicy
from instar.core.records import Epoch
from instar.models.strategies import Route
from instar.stages.train.attempt import Attempt, Given, carried_out, ready
from instar.stages.train.away import Parcel, pack
from instar.stages.train.keeper import Keeper
from instar.stages.train.team import Team

_FILE = "meeting"
_LONG = timedelta(minutes=30)  # for a step; a worker that has died is noticed at once


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do: take part as `rank` of `size` in a training that is settled."""

    rank: int
    size: int
    file: Path
    parcel: Parcel
    route: Route
    policy: TrainPolicy


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
