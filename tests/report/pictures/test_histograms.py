from __future__ import annotations

import re

import pytest

from instar.report.pictures.histograms import histograms
from tests.report import pieces


def test_histograms_heights_follow_the_shares() -> None:
    made = histograms({"name": "x", "bins": ["a", "b"], "old": [0.5, 0.25], "fresh": [0.1, 0.9]})
    heights = [float(h) for h in re.findall(r'<rect [^>]*height="([^"]*)"', made)]
    assert heights[3] / heights[0] == pytest.approx(0.9 / 0.5, rel=0.02)
    assert heights[0] / heights[1] == pytest.approx(5.0, rel=0.05)


def test_histograms_take_left_edges_and_edges_alike() -> None:
    drawn = pieces.temperature()
    edges = histograms({**drawn, "bins": [*drawn["bins"], 110.0]})
    assert edges == histograms(drawn)


def test_histograms_without_rows_are_drawn_flat() -> None:
    assert "<rect" in histograms({"name": "x", "bins": ["a"], "old": [0.0], "fresh": [0.0]})
