"""A real Prometheus for a test, and its `promtool`: Debian's package `prometheus`, unpacked."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest


def program(name: str) -> str:
    """Find a program of the package; skip where it is not to be had, in CI fail."""
    unpacked = Path(sys.prefix) / "debian" / "usr" / "bin" / name
    found = str(unpacked) if unpacked.exists() else shutil.which(name)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {name} on this machine: sh tools/system_packages.sh")
        pytest.skip(f"no {name} on this machine")
    return found


def promtool(*words: str, given: str = "", cwd: Path | None = None) -> tuple[int, str]:
    """Run promtool; its status and what it said."""
    done = subprocess.run(
        [program("promtool"), *words],
        input=given,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


class Prometheus:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=10)

    def ready(self) -> bool:
        try:
            return self.http.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str, **given: Any) -> Any:
        answer = self.http.get(f"/api/v1/{path}", params=given).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return what a query finds now: series with their values."""
        found: list[dict[str, Any]] = self.get("query", query=query)["result"]
        return found


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Prometheus]:
    """Run a server by the `prometheus.yml` of a folder, on loopback, for the while."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={place}",
            ],
            stdout=log,
            stderr=log,
        )
    server = Prometheus(f"http://{place}")
    try:
        until = time.monotonic() + 60
        while not server.ready():
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        yield server
    finally:
        server.http.close()
        process.terminate()
        process.wait(30)
