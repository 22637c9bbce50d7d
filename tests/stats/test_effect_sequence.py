from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from instar.stats.betting import OutOfRange
from instar.stats.effect_sequence import effect_sequence

SHARES = np.repeat([0.05, 0.25, 0.5], 400)


def draw(random: Any, effect: float) -> tuple[Any, Any]:
    """Traffic that grows harder while the candidate's share grows."""
    arms = random.random(len(SHARES)) < SHARES
    hardness = np.linspace(0.1, 0.5, len(SHARES))
    return (random.random(len(SHARES)) < hardness + effect * arms).astype(float), arms


def test_effect_covers_the_truth_at_every_look_though_traffic_drifts() -> None:
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(100):
        losses, arms = draw(random, 0.05)
        for n in (50, 400, 800, 1_200):
            found = effect_sequence(losses[:n], arms[:n], SHARES[:n], alpha=0.05)
            if 0.05 not in found.interval:
                missed += 1
                break
    assert missed <= 10


def test_effect_is_not_fooled_where_plain_means_are() -> None:
    random = np.random.default_rng(1)
    plain, ours = [], []
    for _ in range(60):
        losses, arms = draw(random, 0.0)
        plain.append(losses[arms].mean() - losses[~arms].mean())
        ours.append(effect_sequence(losses, arms, SHARES).value)
    assert np.mean(plain) > 0.05
    assert abs(np.mean(ours)) < 0.02


def test_effect_of_equal_shares_is_the_difference_of_means() -> None:
    random = np.random.default_rng(2)
    arms = np.arange(5_000) % 2 == 0
    losses = random.random(5_000) * np.where(arms, 0.8, 0.6)
    found = effect_sequence(losses, arms, np.full(5_000, 0.5))
    assert found.value == pytest.approx(losses[arms].mean() - losses[~arms].mean(), abs=1e-3)
    assert 0.1 in found.interval


def test_effect_finds_a_worse_candidate() -> None:
    losses, arms = draw(np.random.default_rng(3), 0.3)
    assert effect_sequence(losses, arms, SHARES).interval.low > 0


def test_effect_of_one_sided_traffic_knows_nothing() -> None:
    found = effect_sequence([0.1, 0.9], [True, True], [1.0, 1.0])
    assert (found.interval.low, found.interval.high, found.needed(0.1)) == (-1.0, 1.0, None)


def test_effect_of_no_answers_knows_nothing() -> None:
    assert effect_sequence([], [], []).weight == 0


def test_needed_is_about_what_the_decision_takes() -> None:
    random = np.random.default_rng(4)
    arms = random.random(40_000) < 0.5
    losses = random.beta(2, 8, 40_000) + 0.02 * arms
    share = np.full(40_000, 0.5)
    early = effect_sequence(losses[:1_000], arms[:1_000], share[:1_000])
    times = early.needed(0.005)
    assert times is not None
    assert early.needed(0.5) == 1.0
    whole = next(
        n
        for n in range(1_000, 40_001, 1_000)
        if effect_sequence(losses[:n], arms[:n], share[:n]).interval.low > 0
    )
    assert whole / 4 < times * 1_000 < whole * 4


def test_needed_grows_as_the_margin_shrinks() -> None:
    losses, arms = draw(np.random.default_rng(5), 0.0)
    found = effect_sequence(losses, arms, SHARES)
    near, far = found.needed(found.value + 0.05), found.needed(found.value + 0.2)
    assert near is not None
    assert far is not None
    assert near > far


def test_effect_refuses_losses_out_of_range() -> None:
    with pytest.raises(OutOfRange):
        effect_sequence([1.5], [True], [0.5])
