from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import auc
from sklearn.metrics import roc_curve as theirs

from instar.stats.metrics.auroc import roc_curve


def test_roc_curve_agrees_with_scikit_learn():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    p = np.round(rng.random(300), 2)
    false, true = roc_curve(np.column_stack([1 - p, p]), labels)
    expected_false, expected_true, _ = theirs(labels, p, drop_intermediate=False)
    np.testing.assert_allclose(false, expected_false)
    np.testing.assert_allclose(true, expected_true)
    assert auc(false, true) == pytest.approx(auc(expected_false, expected_true))
