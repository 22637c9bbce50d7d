"""Asking again: with growing pauses, within a deadline, and seldom in all."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from instar.core.errors import BackendError

T = TypeVar("T")


class Budget:
    """Allow a repeat for every `1 / share` requests, and `reserve` of them beforehand.

    A server that is overloaded is helped by nobody who asks twice. Over time the repeats are at
    most `share` of the requests.

    Source:
        Google, "Site Reliability Engineering", chapter 21, "Handling Overload": retry budgets.
    Example:
        >>> budget = Budget(share=0.5, reserve=1)
        >>> budget.repeat(), budget.repeat()
        (True, False)
        >>> budget.request(); budget.request(); budget.repeat()
        True
    """

    def __init__(self, share: float = 0.1, reserve: float = 50) -> None:
        self._share, self._reserve, self._left = share, reserve, reserve
        self._lock = threading.Lock()

    def request(self) -> None:
        """Count a request that is made for the first time."""
        with self._lock:
            self._left = min(self._reserve, self._left + self._share)

    def repeat(self) -> bool:
        """Take one repeat, if there is one."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True


@dataclass(frozen=True)
class Patience:
    """How a request is repeated.

    The pause before repeat n is drawn from 0 to `base_s` * 2^n seconds, at most `cap_s` (full
    jitter, so that many who failed together do not come back together). Nothing is asked again
    once `deadline_s` seconds have passed since the first failure: work that goes well may take
    its time.

    Source:
        AWS Architecture Blog, "Exponential Backoff And Jitter", 2015.
    """

    attempts: int = 6
    base_s: float = 0.2
    cap_s: float = 5.0
    deadline_s: float = 20.0
    budget: Budget = field(default_factory=Budget)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def ask(self, once: Callable[[], T]) -> T:
        """Do something until it succeeds or there is no use in going on.

        Raises:
            BackendError: the last failure; one that is not `retryable` at once.
        """
        self.budget.request()
        until = math.inf
        tries = 0
        while True:
            try:
                return once()
            except BackendError as error:
                pause = random.uniform(0, min(self.cap_s, self.base_s * 2**tries))
                tries += 1
                until = min(until, self.clock() + self.deadline_s)
                over = tries == self.attempts or self.clock() + pause > until
                if not error.retryable or over or not self.budget.repeat():
                    raise
            self.sleep(pause)
