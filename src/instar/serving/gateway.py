"""The gateway as a process: it leads workers that answer, and follows the route file.

python -m instar.serving --root DIR --model NAME --port PORT

This process is the office; it forks the workers, which share one listening socket, and puts a new
one in the place of one that dies. It runs no thread, since a process with threads cannot be forked
safely. On SIGTERM the workers answer what they have begun, and all of it ends with status 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from instar.core.errors import BackendError
from instar.core.tools import Route
from instar.serving import mirror, routefile, shadow, trials, worker
from instar.serving.grpc import require
from instar.serving.link import Link
from instar.serving.office import Office
from instar.serving.pulse import LOOK_S, Pulse
from instar.serving.recorder import Keeping
from instar.serving.redis import REDIS, Address
from instar.serving.slots import Block, Sheet
from instar.serving.worker import Post

MOST_WORKERS = 2  # unless told otherwise: fewer processes batch better
FIRST = 256  # answers that a worker keeps where only Redis was asked for
_NOTHING = Keeping()
HANG_S = 5.0  # without a sign of life, after which a worker is ended
_PAUSE_S = 0.5  # between a worker's death and the next, where it lived for less than this


class PortTaken(BackendError):
    """Report an address that cannot be listened on."""

    code = "backend.port_taken"

    def __init__(self, host: str, port: int, option: str = "--port") -> None:
        super().__init__(f"the address {host}:{port}", "it is in use", f"choose another {option}")


class Gateway:
    """Lead the workers of one model line.

    Args:
        root: The workspace's own folder.
        model: The model line.
        listener: A socket that listens.
        artifacts: Where bundles are, as `store.artifacts` of the policy says it.
        workers: How many processes answer.
        cache: How many answers each of them keeps.
        hang_s: Seconds without a sign of life after which one of them is ended.
        keep: How much of the answers is kept with their inputs.
        grpc: A socket that holds the address of the gRPC server, and does not listen.
        redis: The address of the Redis that workers share answers in.
    """

    def __init__(
        self,
        root: Path,
        model: str,
        listener: socket.socket,
        artifacts: str = "",
        workers: int = 1,
        cache: int = 0,
        hang_s: float = HANG_S,
        keep: Keeping = _NOTHING,
        grpc: socket.socket | None = None,
        redis: str = "",
    ) -> None:
        self._root, self._model, self._artifacts = root, model, artifacts
        self._listener, self._cache, self._keep = listener, cache, keep
        self._hang_s, self._grpc, self._redis = hang_s, grpc, redis
        self._sheet, self._trials = Sheet.open(root, workers), trials.opened(root, workers)
        self._mirror, self._shadow = mirror.line(), workers  # the post of whoever runs shadows
        self._loop = asyncio.new_event_loop()
        self._office = Office(root, model, self._sheet, self._trials)
        self._office.moved = self._moved
        self._pulse, self._dismissed = Pulse(hang_s), set[int]()
        self._office.wanted = workers
        self._vacant = list(range(workers))
        self._pids: dict[int, int] = {}
        self._lines: dict[int, socket.socket] = {}
        self._born: dict[int, float] = {}
        self._ending = self._told = self._failed = self._over = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._welcomes: list[asyncio.Task[Any]] = []  # of the first workers

    def run(self) -> None:
        """Serve until told to end."""
        loop = self._loop
        asyncio.set_event_loop(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGCHLD, self._bury)
        self._office.remember()
        gc.collect()
        gc.freeze()  # what a worker's own collections would copy is shared instead
        self._fill()
        self._spawn(self._start())
        self._spawn(self._watch())
        while not (self._ending and not self._pids):
            loop.run_forever()  # it is stopped where a worker is to be forked, or all is over
            self._fill()
        self._over = True
        for task in self._tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        loop.close()
        if self._failed:
            raise SystemExit(1)

    # --- workers ------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Fork a worker for each vacant post. The loop does not run here."""
        while self._vacant and not self._ending:
            slot = self._vacant.pop()
            ours, theirs = socket.socketpair()
            post = Post(
                slot,
                self._root,
                self._model,
                self._artifacts,
                self._listener,
                theirs,
                self._sheet,
                self._trials,
                self._mirror,
                self._cache,
                self._keep,
                self._hang_s,
                _place(self._grpc) if self._grpc else "",
                self._redis,
            )
            self._block(slot).bury()  # what a gateway before this one left
            sys.stdout.flush()
            sys.stderr.flush()
            pid = os.fork()
            if pid == 0:
                ours.close()
                for line in self._lines.values():  # else the office's end never seems closed
                    line.close()
                worker.exit_with(post, shadow.run if slot == self._shadow else worker.run)
            theirs.close()
            self._pulse.born(slot)
            self._pids[pid], self._lines[slot] = slot, ours
            self._born[slot] = time.monotonic()
            if slot == self._shadow:
                self._spawn(self._introduce(pid, ours))
                continue
            task = self._spawn(self._welcome(slot, pid, ours))
            if not self._told:
                self._welcomes.append(task)

    async def _welcome(self, slot: int, pid: int, line: socket.socket) -> None:
        office = self._office
        link: Link
        link = Link(partial(self._hear, slot), lambda: office.leave(slot, link))
        line.setblocking(False)
        # The transport gets a copy of the socket: this one is kept to be closed in other children.
        await self._loop.create_connection(lambda: link, sock=line)
        await office.join(slot, pid, link)
        if self._told:
            await office.open()

    async def _introduce(self, pid: int, line: socket.socket) -> None:
        """Tell a process that runs shadows which ones."""
        office = self._office
        link: Link
        link = Link(partial(self._hear, self._shadow), lambda: office.unshadow(link))
        line.setblocking(False)
        await self._loop.create_connection(lambda: link, sock=line)
        office.understudy, office.understudy_pid = link, pid
        office.show()

    def _moved(self, route: Route) -> None:
        """Have a process for the shadows of a route, and none where there are none."""
        there = [pid for pid, slot in self._pids.items() if slot == self._shadow]
        if not route.shadow:
            for pid in there:
                self._dismissed.add(pid)
                os.kill(pid, signal.SIGKILL)  # nobody waits for anything of it
        elif there:
            self._office.show()
        elif self._shadow not in self._vacant:
            self._replace(self._shadow)

    def _block(self, slot: int) -> Block:
        """Give the memory in which a process shows that it lives, and what it runs."""
        return (self._trials if slot == self._shadow else self._sheet).block(slot)

    async def _watch(self) -> None:
        """End who neither ends nor moves; another one takes the post."""
        while True:
            await asyncio.sleep(LOOK_S)
            pids = {slot: pid for pid, slot in self._pids.items() if slot != self._shadow}
            blocks = {slot: self._block(slot) for slot in pids}
            now, hurry = time.monotonic(), self._office.moving
            for slot in self._pulse.look(blocks, now, hurry=hurry):
                print(f"the worker {pids[slot]} hangs, and is ended", file=sys.stderr, flush=True)
                self._pulse.born(slot)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pids[slot], signal.SIGKILL)

    async def _hear(self, slot: int, what: str, value: Any) -> Any:
        if what == "handed in":
            self._office.take(slot, value)
            return None
        return await self._office.answer(what, value)

    def _bury(self) -> None:
        """See who died; have a new worker forked, at once or after a breath."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            slot = self._pids.pop(pid, None)
            if slot is None:
                continue
            if pid in self._dismissed:
                self._dismissed.discard(pid)
                self._lines.pop(slot).close()
                if (route := self._office.course.route) and route.shadow:
                    self._replace(slot)  # it was wanted again, meanwhile
                continue
            if not self._ending:
                for version, requests in self._block(slot).bury():
                    self._office.crashed(slot, version, requests)
            lived = time.monotonic() - self._born[slot]
            self._loop.call_later(0 if lived > _PAUSE_S else _PAUSE_S, self._replace, slot)
        # The last two workers may be told of twice: the second time nothing is to be stopped.
        if self._ending and not self._pids and not self._over:
            self._loop.stop()

    def _replace(self, slot: int) -> None:
        if slot == self._shadow:
            route = self._office.course.route
            if slot in self._pids.values() or slot in self._vacant or not (route and route.shadow):
                return
        if not self._ending:
            self._vacant.append(slot)
            self._loop.stop()

    # --- beginning and end --------------------------------------------------------------------

    async def _start(self) -> None:
        await asyncio.gather(*self._welcomes)
        self._welcomes.clear()
        await self._office.start()
        self._announce()
        await self._office.open()
        await self._office.follow()

    def _announce(self) -> None:
        """Tell the starter by one line, and everybody else by a file, where the gateway is."""
        host, port = self._listener.getsockname()
        told = {
            "url": f"http://{host}:{port}",
            "pid": os.getpid(),
            "model": self._model,
            "generation": self._office.status()["generation"],
        }
        if self._grpc:
            told["grpc"] = _place(self._grpc)
        routefile.keep(self._root, routefile.GATEWAY, json.dumps(told).encode())
        print(json.dumps({"ready": True, **told}), flush=True)
        self._told = True

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._listener.close()
            self._spawn(self._dismiss())

    async def _dismiss(self) -> None:
        """Let every worker answer what it has begun, then hang up."""
        staff = list(self._office.staff.values())
        patience = worker.DRAIN_S + 1
        asked = (one.link.ask("drain", None, patience) for one in staff)
        await asyncio.gather(*asked, return_exceptions=True)
        for one in staff:
            one.link.close()
        for pid in [pid for pid, slot in self._pids.items() if slot == self._shadow]:
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(patience)  # whoever is still there now is stuck
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        """Keep no task that ended; one that failed ends the gateway, as nobody would follow."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._loop.call_exception_handler({"message": "the gateway failed", "exception": error})
            self._failed = True
            self._end()


def listen(host: str, port: int) -> socket.socket:
    """Listen; from here on a client waits instead of being turned away.

    Raises:
        PortTaken: somebody else listens there.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise PortTaken(host, port) from error
    listener.setblocking(False)
    return listener


def hold(host: str, port: int) -> socket.socket:
    """Take an address that several processes will listen at, each with a socket of its own.

    This one does not listen, so that the system gives it no connection.

    Raises:
        PortTaken: somebody else has it.
    """
    # Alone first: who shares an address is let in beside whoever shares it already.
    for shared in (False, True):
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind((host, port))
        except OSError as error:
            held.close()
            raise PortTaken(host, port, "--grpc-port") from error
        port = held.getsockname()[1]
        if not shared:
            held.close()
    return held


def _place(held: socket.socket) -> str:
    host, port = held.getsockname()
    return f"{host}:{port}"


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m instar.serving", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the workspace's own folder")
    parser.add_argument("--model", required=True, help="the model line")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--artifacts", default="", help="where bundles are: s3://bucket/prefix")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one a core, up to 2")
    parser.add_argument("--cache", type=int, default=0, help="answers each worker keeps; 0: none")
    parser.add_argument(
        "--hang-s",
        type=float,
        default=HANG_S,
        help="seconds without a sign of life after which a worker is replaced",
    )
    parser.add_argument("--log-share", type=float, default=0.0, help="requests to keep, 0 to 1")
    parser.add_argument("--log-mb", type=float, default=256.0, help="MB of all that is kept")
    parser.add_argument("--log-segment-mb", type=float, default=8.0, help="MB of one file of it")
    parser.add_argument("--log-segment-s", type=float, default=300.0, help="seconds of one file")
    parser.add_argument("--redis", default="", help=f"redis://..., or the variable {REDIS}")
    parser.add_argument("--grpc-port", type=int, help="serve gRPC, too; 0: any that is free")
    given = parser.parse_args()
    keep = Keeping(given.log_share, given.log_mb, given.log_segment_mb, given.log_segment_s)
    workers = given.workers or min(os.cpu_count() or 1, MOST_WORKERS)
    routefile.folder(given.root).make()
    redis = given.redis or os.environ.get(REDIS, "")
    if redis:
        Address.of(redis)
    cache = given.cache or (FIRST if redis else 0)
    listener = listen(given.host, given.port)
    grpc = None
    if given.grpc_port is not None:
        require()
        grpc = hold(given.host, given.grpc_port)
    Gateway(
        given.root,
        given.model,
        listener,
        given.artifacts,
        workers,
        cache,
        given.hang_s,
        keep,
        grpc,
        redis,
    ).run()
