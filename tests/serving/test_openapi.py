"""What the control planes say of themselves, tried by a program that takes them at their word."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from instar.serving import openapi
from instar.web import app
from tests.web.test_api import TOKEN, Told
from tests.web.test_dashboard import ROW, Shelf

# Of the checks all but those for stored resources, of which there are none here.
HOW = ("--phases", "coverage,fuzzing", "--max-examples", "5", "--seed", "1", "--no-color")


def tried(url: str, folder: Path, *more: str) -> str:
    """Ask whatever a document allows and forbids, and hold the answers against it.

    The operation that gives the document itself is left out by the program.
    """
    command = [sys.executable, "-m", "schemathesis.cli", "run", url, *HOW, *more]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=200, cwd=folder
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return done.stdout


def test_gateways_document_is_true(house: Any, tmp_path: Path) -> None:
    found = house.http.get(openapi.PATH).json()
    assert found == json.loads(json.dumps(openapi.document()))
    said = tried(house.gateway.url + openapi.PATH, tmp_path)
    assert "Tested: 6" in said


class Acting(Shelf, Told):
    """A service that shows rows, and notes what it is told to do."""

    def __init__(self, *rows: Any) -> None:
        Shelf.__init__(self, *rows)
        Told.__init__(self)
        self.slow.set()


@pytest.fixture
def pages() -> Iterator[str]:
    rows = ({**ROW, "verdict": None, "strategy": None, "stage": None}, ROW)
    pages = app(Acting(*rows), TOKEN)
    server = uvicorn.Server(uvicorn.Config(pages, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_dashboards_document_is_true(pages: str, tmp_path: Path) -> None:
    assert httpx.get(pages + openapi.PATH).json()["openapi"] == "3.1.0"
    said = tried(pages + openapi.PATH, tmp_path, "--header", f"Authorization: Bearer {TOKEN}")
    assert "Tested: 11" in said
