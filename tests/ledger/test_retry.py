from __future__ import annotations

import itertools
import math

import pytest

from instar.core.errors import BackendError
from instar.ledger import retry
from instar.ledger.journal import LedgerContended, LedgerFailed


class Timeline:
    """A clock that only moves by sleeping."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Timeline:
    line = Timeline()
    monkeypatch.setattr(retry, "time", line)
    return line


def failing(times: int, error: BackendError):
    turns = itertools.count()

    def act() -> int:
        turn = next(turns)
        if turn < times:
            raise error
        return turn

    return act


def test_patiently_tries_until_it_works(time: Timeline) -> None:
    assert retry.patiently(failing(7, LedgerContended()), 60) == 7
    assert len(time.slept) == 7


def test_patiently_stops_in_time_with_the_last_failure(time: Timeline) -> None:
    with pytest.raises(LedgerContended):
        retry.patiently(failing(10**9, LedgerContended()), 5)
    assert 4 < time.now < 5


def test_patiently_tries_once_what_will_fail_again(time: Timeline) -> None:
    with pytest.raises(LedgerFailed):
        retry.patiently(failing(1, LedgerFailed("x")), 60)
    assert time.slept == []


def test_pauses_differ_and_their_bound_doubles_up_to_a_second() -> None:
    tries = [list(itertools.islice(retry.pauses(), 12)) for _ in range(2000)]
    most = [max(turn) for turn in zip(*tries, strict=True)]
    bounds = [min(0.01 * 2**turn, 1.0) for turn in range(12)]
    assert all(0.95 * bound < seen <= bound for seen, bound in zip(most, bounds, strict=True))
    mean = sum(turn[-1] for turn in tries) / len(tries)
    assert math.isclose(mean, 0.5, abs_tol=0.05)


def test_left_is_told_to_what_is_tried(time: Timeline) -> None:
    assert retry.left_s() == math.inf
    assert retry.patiently(retry.left_s, 7) == 7
    assert retry.left_s() == math.inf
