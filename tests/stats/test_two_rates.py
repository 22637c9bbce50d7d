from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from instar.stats.two_rates import Pair, two_rates

LIMIT = math.log(1 / 0.05)


def first_alarm(random: Any, old: float, new: float, share: float = 0.1, n: int = 20_000) -> float:
    """Requests until the alarm, with a look every 100; infinite if there is none."""
    arms = random.random(n) < share
    failed = random.random(n) < np.where(arms, new, old)
    counts = [np.cumsum(x) for x in (~arms, ~arms & failed, arms, arms & failed)]
    for at in range(99, n, 100):
        pair = Pair(share, *(int(count[at]) for count in counts))
        if two_rates([pair]) >= LIMIT:
            return at + 1
    return math.inf


def test_false_alarms_over_a_long_healthy_release_are_rare() -> None:
    random = np.random.default_rng(0)
    alarms = [first_alarm(random, 0.01, 0.01) < math.inf for _ in range(200)]
    assert np.mean(alarms) <= 0.05


def test_a_better_candidate_gives_no_alarm() -> None:
    random = np.random.default_rng(1)
    assert not any(first_alarm(random, 0.05, 0.01, n=5_000) < math.inf for _ in range(30))


@pytest.mark.parametrize(("new", "most"), [(0.05, 1_500), (0.10, 700), (0.03, 4_500)])
def test_regression_of_a_tenth_of_the_traffic_is_found_in_time(new: float, most: int) -> None:
    random = np.random.default_rng(2)
    found = [first_alarm(random, 0.01, new) for _ in range(60)]
    assert np.median(found) <= most


def test_rates_that_move_between_shares_give_no_alarm() -> None:
    # Everything fails more often later, when the candidate's share is larger.
    calm = Pair(0.01, champion=9_900, champion_events=99, candidate=100, candidate_events=1)
    storm = Pair(0.5, champion=1_000, champion_events=200, candidate=1_000, candidate_events=200)
    assert two_rates([calm, storm]) < LIMIT
    added_up = Pair(0.15, 10_900, 299, 1_100, 201)
    assert two_rates([added_up]) > LIMIT


def test_e_value_is_1_in_expectation_under_equal_rates() -> None:
    random = np.random.default_rng(3)
    arms, failed = random.random((40_000, 2)) < 0.3, random.random((40_000, 2)) < 0.2
    values = [
        two_rates(
            [Pair(0.3, int((~a).sum()), int((~a & f).sum()), int(a.sum()), int((a & f).sum()))]
        )
        for a, f in zip(arms[:4_000], failed[:4_000], strict=True)
    ]
    assert np.exp(values).mean() == pytest.approx(1.0, abs=0.05)


def test_nothing_is_no_evidence() -> None:
    assert two_rates([]) == pytest.approx(0.0)
