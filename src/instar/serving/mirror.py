"""A worker's side of shadows: some answered requests are shown to versions that answer nobody.

The reply has been sent by then. What was read of the request goes, with the answer that the client
got, over one socket to the process that runs shadows (`shadow.py`). The socket's own buffer is the
queue: it is bounded by bytes, and where it is full, or the worker has much to do, the shadow is
what is left out, and counted. No worker ever waits for it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from random import random
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from instar.core.errors import InstarError
from instar.serving.models import Shelf, Version
from instar.serving.slots import Block
from instar.serving.tensors import Columns
from instar.serving.trials import Trial

if TYPE_CHECKING:
    from instar.serving.batching import Job
    from instar.serving.desk import Arm

CROWD = 256  # requests that a worker is answering: beyond it, no shadow is bothered
_ROOM = 1 << 20  # bytes that are asked of the system for the queue; it may give less
_ARRAY = 1  # msgpack's extension type of an array here


class Shown(msgspec.Struct, array_like=True):
    """One answered request, as a shadow sees it.

    `rows` is what is kept of the answer; `classes` and `thresholds` are those of who answered.
    """

    version: str
    generation: int
    columns: dict[str, Any]
    rows: list[list[float]]
    classes: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()


def line() -> tuple[socket.socket, socket.socket]:
    """Make the socket between workers and shadows: where to put in, and where to take out.

    Each message is whole, whoever writes beside.
    """
    into, out = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    into.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
    for end in (into, out):
        end.setblocking(False)
    return into, out


def _packed(value: Any) -> msgspec.msgpack.Ext:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        head = (value.dtype.str, value.shape, value.tobytes())
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(head))
    raise TypeError(type(value).__name__)


def _unpacked(code: int, data: memoryview) -> Any:
    kind, shape, raw = msgspec.msgpack.decode(data)
    return np.frombuffer(raw, np.dtype(kind)).reshape(shape)


pack = msgspec.msgpack.Encoder(enc_hook=_packed).encode
unpack = msgspec.msgpack.Decoder(Shown, ext_hook=_unpacked).decode


class Mirror:
    """Show answered requests to the shadows of the route in force.

    Args:
        into: Where to put in; see `line`.
        block: The worker's own part of the trials' memory.
        inside: Says how many requests are being answered.
    """

    def __init__(self, into: socket.socket, block: Block, inside: Callable[[], int]) -> None:
        self._send, self._block, self._inside = into.send, block, inside
        self._shadows: list[tuple[Arm, float, Trial]] = []
        self._generation = 0
        self._alike: dict[tuple[str, str], bool] = {}

    def take(self, shelf: Shelf, arms: dict[str, Arm]) -> bool:
        """Follow a route; tell whether it has a shadow that is loaded."""
        route = shelf.route
        self._generation, self._alike = route.generation, {}
        self._shadows = [
            (arms[name], part, Trial(self._block, name, route.generation))
            for name, part in route.shadow.items()
            if name in arms
        ]
        return bool(self._shadows)

    def see(self, job: Job, rows: Sequence[Sequence[float]]) -> None:
        """Take an answered request, by chance."""
        for arm, part, trial in self._shadows:
            if random() >= part:
                continue
            trial.sampled()
            if self._inside() > CROWD:
                trial.dropped()
                continue
            self._show(job, rows, arm, trial)

    def _show(self, job: Job, rows: Sequence[Sequence[float]], arm: Arm, trial: Trial) -> None:
        owner, shadow = job.arm.version, arm.version
        task = owner.bundle.task
        try:
            columns: Columns = job.columns if self._same(owner, shadow) else job.read(arm)
        except InstarError:  # a request that the champion took, and the shadow would refuse
            trial.failed()
            return
        try:
            told = (shadow.name, self._generation, columns, rows, task.classes, task.thresholds)
            self._send(pack(told))
        except (OSError, TypeError, ValueError, msgspec.MsgspecError):
            trial.dropped()

    def _same(self, owner: Version, shadow: Version) -> bool:
        """Tell whether both read the same of a request: then it is read once."""
        key = (owner.manifest, shadow.manifest)
        if key not in self._alike:
            self._alike[key] = _order(owner) == _order(shadow)
        return self._alike[key]


def _order(version: Version) -> tuple[list[Any], list[Any]]:
    """List what a version reads, in order: a matrix stands for columns in their order."""
    return list(version.inputs.items()), list(version.packed.items())
