from __future__ import annotations

import itertools
import re

import pytest

from instar.report.pictures.roc import roc
from tests.report import pieces


def test_roc_area_drawn_is_the_area_named() -> None:
    made = roc(pieces.roc(0.741, 0.756))
    courses = re.findall(r'points="([^"]*)"', made)
    for course, auc in zip(courses, (0.741, 0.756), strict=True):
        points = [tuple(map(float, point.split(","))) for point in course.split()]
        (left, bottom), (right, top) = points[0], points[-1]
        area = sum(
            (b[0] - a[0]) * (bottom - (a[1] + b[1]) / 2) for a, b in itertools.pairwise(points)
        )
        assert area / ((right - left) * (bottom - top)) == pytest.approx(auc, abs=0.01)
    assert "champion, AUC 0.741" in made
