import numpy as np
import pytest

from instar.stats.neighbours import deviations


@pytest.mark.parametrize("radius", [1, 3, 50])
def test_deviations_agree_with_brute_force(radius):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 2))
    values[[3, 4, 5, 20]] = np.nan
    found = deviations(values, radius)
    for row in range(40):
        around = [
            values[n]
            for n in range(max(0, row - radius), min(40, row + radius + 1))
            if n != row and not np.isnan(values[n, 0])
        ]
        lost = np.isnan(values[row, 0]) or not around
        wanted = np.zeros(2) if lost else values[row] - np.mean(around, axis=0)
        np.testing.assert_allclose(found[row], wanted, atol=1e-12)
