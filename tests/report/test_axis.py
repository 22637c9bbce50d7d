from __future__ import annotations

import itertools

import pytest

from instar.report.axis import Axis, below, points, spanning


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (0.7481, 0.7569), (-0.03, 0.19), (0, 1_373_000), (1e-9, 9e-9), (-5, -1)],
)
def test_ticks_lie_on_the_axis_and_read_differently(low: float, high: float) -> None:
    ticks = Axis(low, high, 0.0, 100.0).ticks()
    assert 2 <= len(ticks) <= 7
    assert all(low - 1e-12 <= value <= high + (high - low) * 1e-6 for value, _ in ticks)
    assert len({words for _, words in ticks}) == len(ticks)


def test_axis_keeps_values_outside_at_its_ends() -> None:
    axis = Axis(0.0, 1.0, 10.0, 20.0)
    assert (axis(-3.0), axis(9.0)) == (10.0, 20.0)


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [None, 2.0, float("nan")]])
def test_spanning_one_value_has_a_width(values: list[float | None]) -> None:
    axis = spanning(values, 0.0, 1.0, pad=0.0)
    assert axis.high > axis.low


def test_spanning_nothing_raises() -> None:
    with pytest.raises(ValueError, match="empty"):
        spanning([None, float("nan")], 0.0, 1.0)


def test_points_leave_out_what_misses_a_coordinate() -> None:
    assert points([1.0, 2.0, None, 4.0], [1.0, None, 3.0, float("inf")]) == [(1.0, 1.0)]


def test_below_thins_labels_until_they_fit() -> None:
    x = Axis(0.0, 40.0, 0.0, 300.0)
    marks = below(x, x, [(float(i), f"name {i:02}") for i in range(40)])
    at = [float(str(mark).split('x="')[1].split('"')[0]) for mark in marks]
    assert all(b - a > 7 * 6.0 for a, b in itertools.pairwise(at))
    assert len(at) > 2
