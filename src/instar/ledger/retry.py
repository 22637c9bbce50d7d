"""Trying again, for a while: what failed for a passing reason may work in a moment."""

from __future__ import annotations

import contextlib
import contextvars
import math
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from instar.core.errors import BackendError

T = TypeVar("T")
FIRST_S, LONGEST_S = 0.01, 1.0

_until: contextvars.ContextVar[float] = contextvars.ContextVar("until", default=math.inf)


def pauses() -> Iterator[float]:
    """Give the seconds to wait between tries: at random below a bound that doubles up to a second.

    Source:
        Brooker 2015, "Exponential Backoff And Jitter" (full jitter).
    """
    bound = FIRST_S
    while True:
        yield random.uniform(0, bound)
        bound = min(2 * bound, LONGEST_S)


def left_s() -> float:
    """Tell how many seconds remain of the time that `patiently` was given; infinite outside."""
    return _until.get() - time.monotonic()


@contextlib.contextmanager
def _limited(until: float) -> Iterator[None]:
    token = _until.set(until)
    try:
        yield
    finally:
        _until.reset(token)


def patiently(act: Callable[[], T], within_s: float) -> T:
    """Do something that changes all or nothing; again, while it fails for a passing reason.

    Args:
        act: What to do. It must be harmless to do again after it has failed.
        within_s: Seconds from now after which no try is begun. What `act` waits for can ask
            `left_s` how long it may.
    Raises:
        BackendError: the last failure, when time is up; at once one that is not `retryable`.
    Example:
        >>> patiently(lambda: "done", 1.0)
        'done'
    """
    until = time.monotonic() + within_s
    tries = pauses()
    with _limited(until):
        while True:
            try:
                return act()
            except BackendError as error:
                pause = next(tries)
                if not error.retryable or time.monotonic() + pause >= until:
                    raise
            time.sleep(pause)
