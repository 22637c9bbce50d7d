from __future__ import annotations

import math

import numpy as np
import pytest

from instar.stats.betting import BETS, smallest, wealth


def test_wealth_exceeds_one_in_alpha_by_chance_at_most_alpha() -> None:
    random = np.random.default_rng(0)
    surprises = random.beta(0.3, 2.0, (500, 600)) - 0.3 / 2.3
    looks = [wealth(surprises[:, :n]) for n in range(20, 601, 20)]
    false_alarms = (np.max(looks, axis=0) >= math.log(1 / 0.05)).mean()
    assert false_alarms <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)


def test_wealth_is_a_fair_game_in_expectation() -> None:
    random = np.random.default_rng(1)
    surprises = random.random((200_000, 3)) - 0.5
    assert np.exp(wealth(surprises)).mean() == pytest.approx(1.0, abs=0.01)


def test_wealth_equals_the_mean_over_bets_of_products() -> None:
    surprises = np.array([0.3, -0.8, 0.5])
    by_hand = np.mean([np.prod([1 + bet * x for x in surprises]) for bet in BETS])
    assert math.exp(wealth(surprises)) == pytest.approx(by_hand)


def test_wealth_survives_the_worst_surprise() -> None:
    assert math.isfinite(wealth(np.full(100, -1.25)))


def test_smallest_finds_the_claim_where_the_bets_pay() -> None:
    x = np.linspace(0, 1, 400)
    claim = smallest(lambda mean: x - mean, 0.05, 0.0, 0.5)
    assert wealth(x - claim) == pytest.approx(math.log(20), abs=0.01)
