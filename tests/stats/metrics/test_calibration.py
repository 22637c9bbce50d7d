from __future__ import annotations

import numpy as np
from sklearn.calibration import calibration_curve as theirs

from instar.stats.metrics.calibration import calibration_curve


def test_calibration_curve_agrees_with_scikit_learn():
    rng = np.random.default_rng(2)
    p = rng.random(2000)
    labels = (rng.random(2000) < p).astype(int)
    curve = calibration_curve(np.column_stack([1 - p, p]), labels)
    observed, predicted = theirs(labels, p, n_bins=15)
    np.testing.assert_allclose(curve["observed"], observed)
    np.testing.assert_allclose(curve["predicted"], predicted)
    assert sum(curve["n"]) == 2000
