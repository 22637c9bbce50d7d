"""A process that answers predictions. It is forked by the gateway and led by the office.

It knows no file but the bundles: the office tells it which route to load, and takes what it
counted. When the office is gone it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from instar.core.errors import BackendError, InstarError
from instar.ledger.artifact_stores import open_at
from instar.serving.connection import Connections
from instar.serving.desk import Desk
from instar.serving.endpoints import Endpoints
from instar.serving.link import Link
from instar.serving.log import Log
from instar.serving.mirror import Mirror
from instar.serving.mistakes import refusal
from instar.serving.models import Models, Shelf, reason
from instar.serving.office import read_route
from instar.serving.recorder import Keeping, Recorder
from instar.serving.redis import Redis
from instar.serving.slots import Sheet

DRAIN_S = 10.0  # for requests that run when the gateway is told to end
_WRITE_S = 0.1  # between two writes of the log
_RECORD_S = 0.5  # between two looks at what is kept of answers
_TICK_S = 0.1  # between two signs of life
_BACKLOG = 1024
# Young objects between two collections: a request leaves no cycles behind, and a collection every
# 700 objects, as Python has it, is a twentieth of its price.
_YOUNG = 20_000
# How long a thread beside the loop, which loads a version or writes a log, may keep the interpreter
# while requests wait. Python's own 5 ms are several times what an answer takes.
_TURN_S = 0.0005


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker is given: where it listens, to whom it talks, what it serves.

    `mirror` is the line to the process that runs shadows, as `mirror.line` makes it. `hang_s` is
    how long a run may show no sign of life, in seconds.
    `grpc` is the HOST:PORT that all workers share for gRPC, `redis` the address of the Redis that
    they share answers in; empty: none.
    """

    slot: int
    root: Path
    model: str
    artifacts: str
    listener: socket.socket
    line: socket.socket
    sheet: Sheet
    trials: Sheet
    mirror: tuple[socket.socket, socket.socket]
    cache: int = 0
    keep: Keeping = field(default_factory=Keeping)
    hang_s: float = 5.0
    grpc: str = ""
    redis: str = ""


def run(post: Post) -> int:
    """Work until the office hangs up or tells it to end; return the exit status."""
    signal.set_wakeup_fd(-1)
    os.dup2(2, 1)  # who reads the gateway's output sees its end when the gateway ends
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the office decides, and says so over the line
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)
    sys.setswitchinterval(_TURN_S)
    logging.basicConfig(format="%(asctime)s %(process)d %(name)s %(message)s")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Worker(post).serve())
    return 0


class Worker:
    """One worker at its post."""

    def __init__(self, post: Post) -> None:
        self._post = post
        store = open_at(post.root, post.artifacts)
        block = post.sheet.block(post.slot)
        block.recover()
        self._models = Models(post.root, post.model, store)
        block.loading = True  # until it has something to serve
        self._block = block
        self._redis = Redis(post.redis) if post.redis else None
        part = (post.slot, len(post.sheet.blocks))
        self._desk = desk = Desk(post.model, block, post.cache, part, self._redis)
        trials = post.trials.block(post.slot)
        desk.mirror = Mirror(post.mirror[0], trials, lambda: desk.inside)
        self._log = Log(post.root)
        if post.keep.share:
            desk.recorder = Recorder(post.root, post.slot, post.keep)
            desk.onlookers = (desk.recorder.see,)
        self._ready: Shelf | None = None
        self._server: asyncio.Server | None = None
        self._grpc: Any = None
        self._encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode_lines

    async def serve(self) -> None:
        """Serve until the office is gone."""
        loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._link = Link(self._hear, self._ended.set)
        self._endpoints = Endpoints(self._desk, self._link, self._log, self._tell)
        self._connections = Connections(self._endpoints.serve, refusal)
        await loop.create_connection(lambda: self._link, sock=self._post.line)
        if self._redis:
            self._redis.start()
        tasks = [
            loop.create_task(self._connections.sweep()),
            loop.create_task(self._write()),
            loop.create_task(self._tick()),
            loop.create_task(self._record()),
        ]
        await self._ended.wait()
        await self._drain()
        if self._redis:
            await self._redis.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(BackendError):
            self._log.flush()
        if self._desk.recorder:
            with contextlib.suppress(BackendError, OSError):
                self._desk.recorder.flush(end=True)

    async def _hear(self, what: str, value: Any) -> Any:
        match what:
            case "prepare":
                return await self._prepare(value)
            case "commit":
                if self._ready:
                    self._models.shelf, self._ready = self._ready, None
                    self._desk.take(self._models.shelf)
            case "drop":
                self._ready = None
            case "listen":
                loop = asyncio.get_running_loop()
                self._server = await loop.create_server(
                    self._connections, sock=self._post.listener, backlog=_BACKLOG
                )
                if self._post.grpc:
                    await self._listen_grpc()
            case "hand in":
                return self._hand_in()
            case "drain":
                await self._drain()
                return self._hand_in()
        return None

    async def _tick(self) -> None:
        """Show that the loop turns, as long as no version hangs in a thread of its own."""
        while True:
            if not self._desk.stuck:
                self._block.tick()
            await asyncio.sleep(_TICK_S)

    async def _listen_grpc(self) -> None:
        # Not before the fork: the library has threads, which no fork survives. And not on the
        # loop: it takes its time to load.
        module = await asyncio.to_thread(importlib.import_module, "instar.serving.grpc.server")
        self._grpc = module.Server(self._desk, self._endpoints)
        await self._grpc.start(self._post.grpc)

    async def _prepare(self, value: Any) -> dict[str, Any]:
        """Load what a route needs, beside the loop; requests are answered meanwhile."""
        self._block.loading = True
        try:
            route = read_route(value["route"])
            shelf = await asyncio.to_thread(self._models.prepared, route, value["unloaded"])
        # Whatever a bundle does on loading, the versions in service go on.
        except Exception as error:
            if not isinstance(error, InstarError):
                logging.getLogger("instar.serving").warning("loading failed", exc_info=error)
            return {"reason": reason(error)}
        finally:
            self._block.loading = False
        self._ready = shelf
        return {"reason": "", "loaded": sorted(shelf.versions), "cold": dict(shelf.cold)}

    def _hand_in(self) -> dict[str, Any]:
        """Give the office what was answered and counted since the last time."""
        desk = self._desk
        events, desk.events = desk.events, []
        lines = b""
        if events:
            lines = self._encode(events)
            self._log.put(lines, len(events))
        missing, desk.missing = desk.missing, {}
        rescued, desk.rescued = desk.rescued, Counter()
        refused, desk.refused = desk.refused, 0
        cached, desk.cache.seen = desk.cache.seen, Counter()
        return {
            "lines": lines,
            "missing": missing,
            "rescued": rescued,
            "refused": refused,
            "cached": cached,
            "dropped": self._log.dropped,
            "recorded": (desk.recorder.kept, desk.recorder.dropped) if desk.recorder else (0, 0),
        }

    def _tell(self) -> None:
        self._link.tell("handed in", self._hand_in())

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_S)
            self._tell()
            with contextlib.suppress(BackendError):  # a full disk costs the log, not the service
                await asyncio.to_thread(self._log.flush)

    async def _record(self) -> None:
        """Write what is kept of answers, beside the loop: a disk that hangs holds nobody up."""
        while recorder := self._desk.recorder:
            await asyncio.sleep(_RECORD_S)
            with contextlib.suppress(BackendError, OSError):
                await asyncio.to_thread(recorder.flush)

    async def _drain(self) -> None:
        if self._server:
            self._server.close()
        ends = [self._connections.drain(DRAIN_S)]
        if self._grpc:
            ends.append(self._grpc.stop(DRAIN_S))
        await asyncio.gather(*ends)


def exit_with(post: Post, work: Callable[[Post], int] = run) -> None:
    """Be a worker in a process of its own, and end it: nothing of its parent's is cleaned up."""
    status = 1
    try:
        status = work(post)
    except BaseException:
        logging.getLogger("instar.serving").exception("a worker failed")
    finally:
        os._exit(status)
