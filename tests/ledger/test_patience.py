from __future__ import annotations

import itertools

import pytest

from instar.core.errors import BackendError
from instar.ledger.patience import Budget, Patience
from instar.testing.tools import FakeClock


class Failed(BackendError):
    retryable = True

    def __init__(self) -> None:
        super().__init__("yes", "no", "again")


class Final(Failed):
    retryable = False


def patient(clock: FakeClock, **settings: float) -> Patience:
    return Patience(**settings, sleep=clock.sleep, clock=clock.monotonic)  # type: ignore[arg-type]


def failing(times: int, error: type[Failed] = Failed) -> tuple[list[int], object]:
    tried: list[int] = []

    def once() -> str:
        tried.append(1)
        if len(tried) <= times:
            raise error
        return "done"

    return tried, once


def test_failure_that_passes_is_outlasted() -> None:
    tried, once = failing(3)
    assert patient(FakeClock()).ask(once) == "done"  # type: ignore[arg-type]
    assert len(tried) == 4


def test_failure_that_cannot_pass_is_not_repeated() -> None:
    tried, once = failing(1, Final)
    with pytest.raises(Final):
        patient(FakeClock()).ask(once)  # type: ignore[arg-type]
    assert len(tried) == 1


def test_attempts_are_bounded_and_pauses_grow() -> None:
    longest = [0.0] * 7
    for _ in range(300):
        clock = FakeClock()
        tried, once = failing(99)
        with pytest.raises(Failed):
            patient(clock, attempts=8, base_s=1, cap_s=30, deadline_s=1e9).ask(once)  # type: ignore[arg-type]
        assert len(tried) == 8
        longest = [max(pair) for pair in zip(longest, clock.slept, strict=True)]
    limits = [1, 2, 4, 8, 16, 30, 30]
    # Drawn from the whole range: of 300, the largest is close to the limit and never above it.
    assert all(0.9 * limit < seen <= limit for seen, limit in zip(longest, limits, strict=True))


def test_deadline_is_kept() -> None:
    for _ in range(50):
        clock = FakeClock()
        _, once = failing(9999)
        with pytest.raises(Failed):
            patient(clock, attempts=9999, base_s=1, cap_s=5, deadline_s=20).ask(once)  # type: ignore[arg-type]
        assert 10 < clock.elapsed <= 20


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_repeats_are_a_small_share_of_many_requests(share: float) -> None:
    clock, patience = FakeClock(), None
    patience = Patience(
        sleep=clock.sleep, clock=clock.monotonic, budget=Budget(share=share, reserve=10)
    )
    sent = itertools.count()
    asked = lost = 0

    def once() -> None:
        if next(sent) % 10 < 4:  # two fifths of all requests fail
            raise Failed

    for asked in range(1, 3001):  # noqa: B007 - the last one counts
        try:
            patience.ask(once)
        except Failed:
            lost += 1
    repeated = next(sent) - asked
    assert repeated <= share * asked + 10
    assert lost > 0  # who is out of budget says so instead of adding load
