"""How many threads a piece of work computes with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits


@contextlib.contextmanager
def limited(count: int) -> Iterator[None]:
    """Let PyTorch, and the BLAS of NumPy and SciPy, compute with `count` threads for a while.

    A BLAS left to itself keeps a thread for each core, and those that wait for work spin: fitting
    a head of 65 weights by L-BFGS took three times the CPU.

    Example:
        >>> with limited(1):
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
