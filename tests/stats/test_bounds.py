from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from instar.stats.bootstrap import bootstrap, paired_bootstrap
from instar.stats.bounds import paired, standard_error
from instar.stats.metrics import METRICS
from tests.stats.test_bootstrap import two_models


def test_standard_error_by_formula_is_that_of_resampling():
    scores, _, labels = two_models(600, seed=4)
    scores = np.round(scores, 1)  # with ties
    found = standard_error(METRICS["auroc"], scores, labels, resamples=2, seed=0)
    resampled = bootstrap(METRICS["auroc"], scores, labels, resamples=2000, level=0.95, seed=0)
    assert found == pytest.approx(resampled.error, rel=0.08)


def test_standard_error_without_a_formula_is_resampled():
    scores, _, labels = two_models(600, seed=4)
    found = standard_error(METRICS["accuracy"], scores, labels, resamples=2000, seed=0)
    right = (scores.argmax(1) == labels).astype(float)
    assert found == pytest.approx(stats.sem(right), rel=0.08)


@pytest.mark.parametrize("name", ["auroc", "accuracy"])
def test_paired_interval_is_that_of_resampling(name):
    champion, candidate, labels = two_models(600, seed=4, edge=0.3)
    given = (METRICS[name], champion, candidate, labels)
    found = paired(*given, resamples=2000, level=0.9, seed=0)
    resampled = paired_bootstrap(*given, resamples=2000, level=0.9, seed=0)
    assert found.value == pytest.approx(resampled.value)
    assert found.error == pytest.approx(resampled.error, rel=0.08)
    ends = ("low", "high")
    np.testing.assert_allclose(
        [getattr(found.interval, end) for end in ends],
        [getattr(resampled.interval, end) for end in ends],
        atol=0.25 * found.error,
    )
    assert found.n == 600


def test_nothing_bounds_an_area_over_one_row_of_a_class():
    scores, labels = np.array([[0.2], [0.4], [0.9]]), np.array([0, 0, 1])
    assert standard_error(METRICS["auroc"], scores, labels, resamples=2, seed=0) == np.inf
    found = paired(METRICS["auroc"], scores, scores, labels, resamples=2, level=0.95, seed=0)
    assert (found.value, found.interval.low, found.interval.high) == (0, -np.inf, np.inf)


def test_scores_that_are_no_numbers_are_bounded_by_nothing():
    scores, labels = np.array([[0.2], [np.nan], [0.9], [0.1]]), np.array([0, 0, 1, 1])
    found = paired(METRICS["auroc"], scores, scores, labels, resamples=2, level=0.95, seed=0)
    assert np.isnan(found.value)
    assert found.interval.high == np.inf
