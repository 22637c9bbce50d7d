import numpy as np
import pytest

from instar.stats.psi import edges, histogram, psi


def test_psi_agrees_with_the_symmetrised_divergence():
    old, fresh = np.array([10, 30, 60]), np.array([20, 20, 60])
    p, q = old / 100, fresh / 100
    wanted = (p * np.log(p / q)).sum() + (q * np.log(q / p)).sum()
    assert psi(old, fresh) == pytest.approx(wanted)
    assert psi(fresh, old) == pytest.approx(wanted)


def test_psi_empty_bin_stays_finite():
    assert 0 < psi([100, 0], [0, 100]) < 20


def test_edges_put_equally_many_rows_in_each_bin():
    values = np.random.default_rng(0).normal(size=10_000)
    assert np.ptp(histogram(values, edges(values))) <= 2


def test_edges_of_tied_values_are_merged():
    assert edges([0] * 95 + [1, 2, 3, 4, 5]).tolist() == [0.0]


def test_histogram_counts_as_numpy_does():
    values = np.random.default_rng(1).normal(size=1000)
    inner = np.array([-1.0, 0.0, 1.5])
    wanted, _ = np.histogram(values, [-np.inf, *inner, np.inf])
    assert histogram(values, inner).tolist() == wanted.tolist()
