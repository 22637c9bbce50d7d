"""What holds for every test: nothing is ever asked of a machine but this one."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresServer


def _only_loopback(event: str, args: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not isinstance(args[1], tuple):
        return
    host = str(args[1][0])
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise AssertionError(f"a connection to {host}")


sys.addaudithook(_only_loopback)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take the long journeys first, so that two workers end together."""
    items.sort(key=lambda item: "test_demo" not in item.nodeid)


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    """Leave the other cores to the other workers."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Lend a PostgreSQL server that this process's tests share; each makes its own schema."""
    from tests.servers.postgres import running

    with running() as server:
        yield server
