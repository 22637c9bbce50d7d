from __future__ import annotations

import re

import pytest

from instar.report.pictures.bars import bars
from tests.report import pieces


def widths(made: str) -> list[float]:
    return [
        float(width) for width in re.findall(r'<rect x="[^"]*" y="[^"]*" width="([^"]*)"', made)
    ]


def test_bars_are_as_long_as_their_values() -> None:
    long, short = widths(bars(pieces.bars({"a": 0.8, "b": 0.2}, None)))
    assert long / short == pytest.approx(4.0, abs=0.05)


def test_bars_beyond_the_limit_are_marked() -> None:
    made = bars(pieces.bars({"a": 0.8, "b": 0.2}, 0.5, "fraction"))
    assert made.count('class="bar over"') == 1
    assert "limit 50\u202f%" in made


def test_bars_missing_value_is_a_dash() -> None:
    made = bars({"items": [{"label": "a", "value": None}, {"label": "b", "value": 1.0}]})
    assert "–" in made
    assert len(widths(made)) == 1


def test_bars_all_zero_are_drawn() -> None:
    assert len(widths(bars(pieces.bars({"a": 0.0}, None)))) == 1
