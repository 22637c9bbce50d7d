"""The dashboard on a port of this machine, beside whatever else its process does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from instar.core.errors import BackendError
from instar.web.dashboard import app
from instar.web.service import Service

START_S = 10.0


class PortTaken(BackendError):
    """Report a port that another program holds."""

    code = "backend.dashboard_port_taken"

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} for the dashboard", "a taken one", "choose another: --pages")


@contextmanager
def dashboard(service: Service, port: int = 0, token: str = "") -> Iterator[str]:
    """Serve the pages on loopback for the while; port 0 takes a free one. Yield the address.

    With a `token`, whoever sends it can also change something over `/api/v1`.

    Raises:
        PortTaken: the port is in use.
    """
    listening = socket.socket()
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        listening.close()
        raise PortTaken(port) from error
    config = uvicorn.Config(app(service, token), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    until = time.monotonic() + START_S
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
