from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from instar.stats.bootstrap import bootstrap, paired_bootstrap
from instar.stats.metrics import METRICS


def two_models(n, seed, edge=0.0):
    """Two noisy views of one logit; the second sees the label better by `edge`."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    shared = labels + rng.normal(0, 1.5, n)
    views = [shared + rng.normal(0, 0.3, n), shared + rng.normal(0, 0.3, n) + edge * labels]
    chances = [1 / (1 + np.exp(-view)) for view in views]
    return *(np.column_stack([1 - p, p]) for p in chances), labels


def area(labels, scores):
    """Mann-Whitney: the same area by ranks, quick enough to be repeated."""
    positive = (labels == 1).sum()
    above = stats.rankdata(scores)[labels == 1].sum() - positive * (positive + 1) / 2
    return above / (positive * (len(labels) - positive))


def paired(metric, champion, candidate, labels, resamples=400, level=0.95, seed=0):
    return paired_bootstrap(
        METRICS[metric], champion, candidate, labels, resamples=resamples, level=level, seed=seed
    )


def test_paired_bootstrap_agrees_with_resampling_by_hand():
    champion, candidate, labels = two_models(300, seed=0, edge=0.3)
    found = paired("auroc", champion, candidate, labels, resamples=2000)
    rng = np.random.default_rng(1)
    by_hand = []
    for _ in range(2000):
        rows = rng.integers(0, 300, 300)
        pair = [area(labels[rows], s[rows, 1]) for s in (champion, candidate)]
        by_hand.append(pair[1] - pair[0])
    assert found.value == pytest.approx(
        roc_auc_score(labels, candidate[:, 1]) - roc_auc_score(labels, champion[:, 1])
    )
    assert found.error == pytest.approx(np.std(by_hand), rel=0.08)
    expected = np.quantile(by_hand, [0.025, 0.975])
    np.testing.assert_allclose(
        [found.interval.low, found.interval.high], expected, atol=0.15 * np.std(by_hand)
    )


def test_bootstrap_of_a_mean_agrees_with_its_standard_error():
    rng = np.random.default_rng(3)
    values = rng.normal(5, 2, 500)
    found = bootstrap(
        METRICS["mae"], values[:, None], np.zeros(500), resamples=2000, level=0.9, seed=0
    )
    assert found.value == pytest.approx(np.abs(values).mean())
    assert found.error == pytest.approx(stats.sem(np.abs(values)), rel=0.08)


def test_paired_interval_covers_no_difference_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        champion, candidate, labels = two_models(250, seed)
        found = paired("accuracy", champion, candidate, labels, resamples=200, level=0.9, seed=seed)
        covered += 0 in found.interval
    # Binomial(200, 0.9) lies within these with a chance of 0.999; percentile intervals of a
    # discrete difference err on the wide side.
    assert 166 <= covered <= 199


def test_paired_interval_of_a_relative_metric_is_a_share():
    rng = np.random.default_rng(5)
    labels = rng.normal(0, 100, 400)
    champion, candidate = (labels[:, None] + rng.normal(0, sd, (400, 1)) for sd in (10, 9))
    found = paired("mse", champion, candidate, labels)
    before, now = METRICS["mse"](champion, labels), METRICS["mse"](candidate, labels)
    assert found.value == pytest.approx((before - now) / before)
    assert found.value in found.interval


def test_bootstrap_repeats_itself_by_seed():
    champion, candidate, labels = two_models(200, seed=9)
    assert paired("auroc", champion, candidate, labels, seed=4) == paired(
        "auroc", champion, candidate, labels, seed=4
    )
    assert paired("auroc", champion, candidate, labels, seed=4) != paired(
        "auroc", champion, candidate, labels, seed=5
    )


def test_bootstrap_of_what_is_undefined_is_nan():
    scores = np.array([[0.5, 0.5], [0.4, 0.6]])
    found = paired("auroc", scores, scores, np.array([1, 1]))
    assert np.isnan(found.value)
    assert (found.interval.low, found.interval.high) == (-np.inf, np.inf)
