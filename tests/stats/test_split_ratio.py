from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from instar.stats.split_ratio import Split, split_ratio

LIMIT = math.log(1 / 0.01)


def first_alarm(random: Any, planned: float, true: float, n: int = 20_000) -> float:
    """Units until the alarm, with a look every 100; infinite if there is none."""
    met = np.cumsum(random.random(n) < true)
    for at in range(99, n, 100):
        if split_ratio([Split(planned, at + 1 - int(met[at]), int(met[at]))]) >= LIMIT:
            return at + 1
    return math.inf


def test_evidence_is_the_ratio_of_two_distributions_of_the_counts() -> None:
    share, n, k = 0.2, 500, 130
    plan = binom.logpmf(k, n, share)
    mixed = [betabinom.pmf(k, n, c * share, c * (1 - share)) for c in (10, 100, 1_000, 10_000)]
    assert split_ratio([Split(share, n - k, k)]) == pytest.approx(math.log(np.mean(mixed)) - plan)


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_false_alarms_are_rare_at_every_look(share: float) -> None:
    random = np.random.default_rng(0)
    alarms = [first_alarm(random, share, share) < math.inf for _ in range(200)]
    assert np.mean(alarms) <= 0.01 + 0.01


@pytest.mark.parametrize(("true", "most"), [(0.55, 2_000), (0.52, 12_000), (0.0, 200)])
def test_split_that_is_off_is_found(true: float, most: int) -> None:
    random = np.random.default_rng(1)
    assert np.median([first_alarm(random, 0.5, true) for _ in range(40)]) <= most


def test_shares_that_grow_are_each_held_against_their_own_plan() -> None:
    grown = [Split(0.01, 9_900, 100), Split(0.5, 1_000, 1_000)]
    assert split_ratio(grown) < 0
    assert split_ratio([Split(0.5, 10_900, 1_100)]) > LIMIT


def test_nothing_is_no_evidence() -> None:
    assert split_ratio([]) == pytest.approx(0.0)
    assert split_ratio([Split(0.3, 0, 0)]) == pytest.approx(0.0)
