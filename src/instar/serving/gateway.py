"""The gateway as a process: it follows the route file, answers, and drains on SIGTERM.

python -m instar.serving --root DIR --model NAME --port PORT
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from instar.core.errors import BackendError
from instar.core.policy import StoreSettings
from instar.ledger.artifact_stores import open_artifacts
from instar.serving import routefile
from instar.serving.app import App
from instar.serving.desk import Desk
from instar.serving.endpoints import Endpoints

_LOOK_S = 0.02  # between two looks at the route file: the time that a rollback may take to begin
_WRITE_S = 0.1  # between two writes of the log
_DRAIN_S = 10  # for requests that run when the gateway is told to end


class PortTaken(BackendError):
    """Report an address that cannot be listened on."""

    code = "backend.port_taken"

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"the address {host}:{port}", "it is in use", "choose another --port")


class Server(uvicorn.Server):
    """End with status 0 after draining, instead of dying of the signal once more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def serve(root: Path, model: str, host: str, port: int, artifacts: str = "") -> None:
    """Serve a model line until told to end.

    Args:
        root: The workspace's own folder.
        model: The model line.
        host: Address to listen on.
        port: Port to listen on; 0: any that is free.
        artifacts: Where bundles are, as `store.artifacts` of the policy says it.
    """
    desk = Desk(root, model, open_artifacts(root, StoreSettings(artifacts=artifacts)))
    place = routefile.folder(root)
    place.make()
    listener = _listen(host, port)
    desk.start()
    config = uvicorn.Config(
        App(Endpoints(desk)),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    tasks = [asyncio.create_task(_follow(desk, place.root)), asyncio.create_task(_write(desk))]
    _announce(root, desk, listener)
    try:
        await Server(config).serve(sockets=[listener])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        desk.log.flush()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # The server sends head and body apart: without this the second waits 40 ms for the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)  # from here on a client waits instead of being turned away
    except OSError as error:
        listener.close()
        raise PortTaken(host, port) from error
    return listener


def _announce(root: Path, desk: Desk, listener: socket.socket) -> None:
    """Tell the starter by one line, and everybody else by a file, where the gateway is."""
    host, port = listener.getsockname()
    told = {
        "url": f"http://{host}:{port}",
        "pid": os.getpid(),
        "model": desk.models.model,
        "generation": desk.status()["generation"],
    }
    routefile.keep(root, routefile.GATEWAY, json.dumps(told).encode())
    print(json.dumps({"ready": True, **told}), flush=True)


async def _follow(desk: Desk, place: Path) -> None:
    """Converge whenever the route file is another one. Loading is done beside the loop."""
    seen = None  # the route may have been moved since the start: look once in any case
    while True:
        if (mark := _mark(place / routefile.ROUTE)) != seen:
            seen = mark
            await asyncio.to_thread(desk.models.converge)
        await asyncio.sleep(_LOOK_S)


def _mark(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_ino, stat.st_mtime_ns)


async def _write(desk: Desk) -> None:
    while True:
        await asyncio.sleep(_WRITE_S)
        with contextlib.suppress(BackendError):  # a full disk costs the log, not the service
            await asyncio.to_thread(desk.log.flush)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m instar.serving", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the workspace's own folder")
    parser.add_argument("--model", required=True, help="the model line")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--artifacts", default="", help="where bundles are: s3://bucket/prefix")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.root, given.model, given.host, given.port, given.artifacts))
