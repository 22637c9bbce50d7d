import numpy as np
import pytest
from scipy.special import gammaincc

from instar.stats.chi_square import chi_square


def test_chi_square_agrees_with_the_textbook_sum():
    old, fresh = np.array([30, 50, 20]), np.array([45, 60, 45])
    table = np.array([old, fresh])
    due = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    statistic = ((table - due) ** 2 / due).sum()
    effect, p = chi_square(old, fresh)
    assert effect == pytest.approx(np.sqrt(statistic / table.sum()))
    assert p == pytest.approx(gammaincc(1.0, statistic / 2))


def test_chi_square_place_that_is_empty_on_both_sides_changes_nothing():
    assert chi_square([30, 0, 70], [40, 0, 60]) == chi_square([30, 70], [40, 60])


@pytest.mark.parametrize(("old", "fresh"), [([5], [9]), ([5, 5], [0, 0]), ([7, 0], [9, 0])])
def test_chi_square_nothing_to_compare_is_no_difference(old, fresh):
    assert chi_square(old, fresh) == (0.0, 1.0)
