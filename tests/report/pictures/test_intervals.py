from __future__ import annotations

import re

from instar.report.pictures.intervals import intervals


def test_intervals_stand_where_their_values_are() -> None:
    rows = [{"label": "a", "value": 1.0, "low": 0.5, "high": 2.0}]
    made = intervals({"rows": rows, "zero": 0, "limit": -0.5, "unit": ""})
    span = re.search(r'class="span" x1="([^"]*)" x2="([^"]*)"', made)
    dot = re.search(r'cx="([^"]*)"', made)
    zero = re.search(r'<line x1="([^"]*)"[^>]*class="axis"', made)
    limit = re.search(r'<line x1="([^"]*)"[^>]*class="limit"', made)
    low, high = float(span[1]), float(span[2])
    assert float(limit[1]) < float(zero[1]) < low < float(dot[1]) < high


def test_intervals_unbounded_show_the_value_alone() -> None:
    made = intervals({"rows": [{"label": "a", "value": 1.0, "low": None, "high": None}]})
    assert 'class="span"' not in made
    assert "<circle" in made
