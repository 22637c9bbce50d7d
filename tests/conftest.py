"""What holds for every test: nothing is ever asked of a machine but this one."""

from __future__ import annotations

import contextlib
import functools
import gc
import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

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


def pytest_collection_finish() -> None:
    """Look no more for garbage among what is there for good: modules, and thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _tables() -> None:
    """Make the exporter's tables once for all the networks that are exported in this process."""
    if "torch" in sys.modules:
        from tests.faults.warm import remember_tables

        remember_tables()


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    """Leave the other cores to the other workers."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _warm() -> Iterator[None]:
    """Fork `python -m instar...` from a process that has imported everything already.

    Most of what a command costs here is `import torch`. Commands that are started by another name
    (the console script of the demo and of the README) are processes of their own.
    """
    from tests.faults import warm

    with contextlib.ExitStack() as stack:
        place = functools.cache(lambda: stack.enter_context(warm.started()))
        stack.enter_context(mock.patch.object(subprocess, "Popen", warm.popen(place)))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Lend a PostgreSQL server that this process's tests share; each makes its own schema."""
    from tests.servers.postgres import running

    with running() as server:
        yield server
