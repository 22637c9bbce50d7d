"""The Open Inference Protocol over gRPC: the same desk behind another socket.

Nothing here is imported before a worker that was told to serve gRPC has been forked: the library
starts threads of its own, and a process with threads cannot be forked safely.
"""

from __future__ import annotations

import importlib.util

from instar.ledger.extras import MissingExtra


def require() -> None:
    """See that the libraries are there, without loading them.

    Raises:
        MissingExtra: they were not installed.
    """
    try:
        there = importlib.util.find_spec("grpc") and importlib.util.find_spec("google.protobuf")
    except ModuleNotFoundError:
        there = None
    if there is None:
        raise MissingExtra("gRPC", "grpc")
