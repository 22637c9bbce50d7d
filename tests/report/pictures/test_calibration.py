from __future__ import annotations

import re

from instar.report.pictures.calibration import calibration
from tests.report import pieces


def test_calibration_dots_grow_with_rows() -> None:
    made = calibration(pieces.calibration())
    radii = [float(r) for r in re.findall(r' r="([^"]*)"', made)][:9]
    assert max(radii) == radii[1] == 5.0
    assert min(radii) == radii[-1]
    assert "1,090 rows" in made
