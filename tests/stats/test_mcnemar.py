from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from instar.stats.mcnemar import mcnemar


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_is_the_sign_test_of_the_discordant_rows(seed):
    rng = np.random.default_rng(seed)
    before, now = rng.random((2, 300)) < [[0.8], [0.75]]
    lost, won, chance = mcnemar(before, now)
    assert lost == sum(b and not a for b, a in zip(before, now, strict=True))
    assert won == sum(a and not b for b, a in zip(before, now, strict=True))
    assert chance == pytest.approx(binomtest(lost, lost + won).pvalue)


def test_mcnemar_of_equal_models_sees_no_difference():
    assert mcnemar([True, False], [True, False]) == (0, 0, 1.0)
