from __future__ import annotations

import math

import numpy as np
import pytest

from instar.stats.rate_above import rate_above

LIMIT = math.log(1 / 0.05)


@pytest.mark.parametrize("true", [0.02, 0.01])
def test_false_alarms_are_rare_at_every_look_while_the_rate_is_allowed(true: float) -> None:
    random = np.random.default_rng(0)
    events = np.cumsum(random.random((400, 3_000)) < true, axis=1)
    alarms = [
        any(rate_above(int(run[n - 1]), n, 0.02) >= LIMIT for n in range(50, 3_001, 50))
        for run in events
    ]
    assert np.mean(alarms) <= 0.05


def test_a_candidate_that_fails_always_is_found_after_a_few_requests() -> None:
    assert next(n for n in range(1, 100) if rate_above(n, n, 0.02) >= LIMIT) <= 4


def test_a_rate_above_the_limit_is_found_in_the_end() -> None:
    assert rate_above(400, 10_000, 0.03) > LIMIT


def test_limits_of_0_and_1() -> None:
    assert rate_above(1, 1_000, 0.0) == math.inf
    assert rate_above(0, 1_000, 0.0) == 0.0
    assert rate_above(1_000, 1_000, 1.0) == 0.0
