from __future__ import annotations

import re

import pytest

from instar.report.pictures.lines import lines


def test_lines_leave_gaps_where_a_value_is_missing() -> None:
    made = lines({"x": [0, 1, 2], "series": [{"name": "a", "y": [1.0, None, 3.0]}]})
    assert len(re.search(r'points="([^"]*)"', made)[1].split()) == 2


def test_lines_many_points_are_not_dotted() -> None:
    xs = list(range(50))
    assert "<circle" not in lines({"x": xs, "series": [{"name": "a", "y": [float(x) for x in xs]}]})


def test_lines_over_words_name_them() -> None:
    series = [{"name": "a", "y": [1.0, 2.0]}, {"name": "b", "y": [2.0, 1.0]}]
    made = lines({"x": ["May", "June"], "series": series})
    assert "May" in made
    assert 'class="legend"' in made


def test_lines_alone_need_no_legend_but_a_name() -> None:
    made = lines({"x": [1, 2], "series": [{"name": "loss", "y": [1.0, 2.0]}], "x_label": "epoch"})
    assert 'class="legend"' not in made
    assert ">loss</text>" in made


def test_lines_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        lines({"x": [1, 2], "series": [{"name": "a", "y": [1.0]}]})
