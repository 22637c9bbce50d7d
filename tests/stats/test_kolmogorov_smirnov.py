import numpy as np
import pytest

from instar.stats.kolmogorov_smirnov import kolmogorov_smirnov


def test_kolmogorov_smirnov_distance_agrees_with_brute_force():
    rng = np.random.default_rng(0)
    old, fresh = rng.normal(size=300), rng.normal(0.3, 1, size=200)
    both = np.concatenate([old, fresh])
    wanted = max(abs((old <= cut).mean() - (fresh <= cut).mean()) for cut in both)
    distance, p = kolmogorov_smirnov(old, fresh)
    assert distance == pytest.approx(wanted)
    assert p < 0.05


def test_kolmogorov_smirnov_false_alarms_are_as_promised():
    rng = np.random.default_rng(1)
    alarms = [
        kolmogorov_smirnov(rng.normal(size=200), rng.normal(size=200))[1] < 0.05 for _ in range(400)
    ]
    assert 0.01 < np.mean(alarms) < 0.08
