import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from instar.stats.cross_fit import cross_fit


def test_cross_fit_learns_nothing_from_a_row_itself():
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(3000, 4)), rng.integers(0, 2, 3000)
    guess = cross_fit(rows, np.eye(2)[y], coded=[False] * 4, seed=0)
    assert roc_auc_score(y, guess[:, 1]) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("classes", [2, 4])
def test_cross_fit_finds_the_classes_and_gives_probabilities(classes):
    rng = np.random.default_rng(1)
    y = rng.integers(0, classes, 3000)
    rows = np.column_stack([y + rng.normal(0, 0.3, 3000), rng.integers(0, 9, 3000)])
    truth = np.eye(classes)[y]
    truth[::7] = np.nan
    guess = cross_fit(rows, truth, coded=[False, True], seed=0)
    np.testing.assert_allclose(guess.sum(axis=1), 1, atol=1e-6)
    assert (guess.argmax(axis=1) == y).mean() > 0.8


def test_cross_fit_predicts_numbers():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3000, 1))
    guess = cross_fit(x, 10 * x, coded=[False], seed=0)
    assert np.corrcoef(guess[:, 0], x[:, 0])[0, 1] > 0.99


def test_cross_fit_without_two_classes_gives_their_share():
    truth = np.tile([[1.0, 0.0]], (300, 1))
    guess = cross_fit(np.zeros((300, 1)), truth, coded=[False], seed=0)
    assert (guess == truth).all()
    nothing = cross_fit(np.zeros((300, 1)), truth * np.nan, coded=[False], seed=0)
    assert (nothing == 0).all()
