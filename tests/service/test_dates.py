from __future__ import annotations

import itertools
import random

import pytest

from instar.service.dates import BadDate, in_order, moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2026-02-30", "26.11.2026", "x" * 99]
)
def test_text_that_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(BadDate):
        moment(text)


def test_offset_is_taken_into_account() -> None:
    assert moment("1970-01-01T01:00+01:00") == 0.0
    assert moment("1970-01-01T00:00:30", end=True) == 30.0  # a moment has no end of the day


def longest(dates: list[int]) -> int:
    """Count by brute force how many dates can stay without contradicting the order."""
    for size in range(len(dates), 0, -1):
        for chosen in itertools.combinations(dates, size):
            if list(chosen) == sorted(chosen):
                return size
    return 0


def test_in_order_changes_as_few_dates_as_possible() -> None:
    for seed in range(200):
        dates = [random.Random(seed * 31 + i).randint(0, 6) for i in range(7)]
        made = in_order(dates)
        assert made == sorted(made)
        kept = sum(one == other for one, other in zip(dates, made, strict=True))
        assert kept >= longest(dates)


def test_in_order_of_nothing_is_nothing() -> None:
    assert in_order([]) == []
