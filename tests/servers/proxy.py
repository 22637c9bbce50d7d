"""A way to a server that can be cut, in the middle of a commit too, or made to take its time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

COMMIT = b"COMMIT"
CUTS = (
    "before",  # the server never hears of the commit
    "after",  # it is done, and nobody is told
    "during",  # the way is gone before the server can answer: nobody knows
)


class Proxy:
    """Pass bytes between a port of loopback and a server's socket.

    `cuts` says what becomes of the commits to come, one each. `delay_s` holds back each piece
    that a client sends; while `silent`, nothing that the server says arrives.
    """

    def __init__(self, target: Path) -> None:
        self.target = str(target)
        self.cuts: list[str] = []
        self.delay_s = 0.0
        self.silent = False
        self._links: list[_Link] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                try:
                    self._links.append(_Link(self, client))
                except OSError:  # the server is down: whoever asks is hung up on
                    client.close()

    def close(self) -> None:
        _hang_up(self._door, *(end for link in self._links for end in (link.client, link.server)))


class _Link:
    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.proxy, self.client = proxy, client
        self.server = socket.socket(socket.AF_UNIX)
        self.cut = ""
        try:
            self.server.connect(proxy.target)
        except OSError:
            self.server.close()
            raise
        for side in (self._ask, self._answer):
            threading.Thread(target=side, daemon=True).start()

    def _ask(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.client.recv(1 << 16):
                time.sleep(self.proxy.delay_s)
                if COMMIT in data and self.proxy.cuts:
                    self.cut = self.proxy.cuts.pop(0)
                if self.cut != "before":
                    self.server.sendall(data)
                if self.cut in ("before", "during"):
                    break
        self._hang_up()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.server.recv(1 << 16):
                if self.cut:  # the answer to a commit that was passed on
                    break
                if not self.proxy.silent:
                    self.client.sendall(data)
        self._hang_up()

    def _hang_up(self) -> None:
        _hang_up(self.client, self.server)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextlib.contextmanager
def through(target: Path) -> Iterator[Proxy]:
    """Lend a way to a server's socket."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
