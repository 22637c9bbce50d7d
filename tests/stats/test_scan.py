import numpy as np

from instar.stats.scan import critical, cuts, running, windows


def test_windows_are_all_and_none_too_long():
    first, end = windows(6, 3)
    pairs = set(zip(first.tolist(), end.tolist(), strict=True))
    assert pairs == {(i, j) for i in range(6) for j in range(i + 1, 7) if j - i <= 3}


def test_running_gives_the_sum_of_each_block():
    values = np.random.default_rng(0).normal(size=103)
    at = cuts(103, 7)
    wanted = [part.sum() for part in np.split(values, at[1:-1])]
    np.testing.assert_allclose(np.diff(running(values, at)), wanted)


def test_critical_is_exceeded_as_often_as_promised():
    rng = np.random.default_rng(1)
    variances = rng.uniform(0.5, 2, 24)
    bound = critical(variances, 0.05, seed=0)
    first, end = windows(24)
    alarms = 0
    for _ in range(1000):
        total = np.concatenate([[0], np.cumsum(rng.normal(size=24) * np.sqrt(variances))])
        spread = np.concatenate([[0], np.cumsum(variances)])
        alarms += ((total[end] - total[first]) / np.sqrt(spread[end] - spread[first])).max() > bound
    assert 20 <= alarms <= 85
