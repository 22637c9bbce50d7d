from __future__ import annotations

import pytest

from instar.report.pictures.confusion import confusion
from tests.report import pieces


def test_confusion_shades_by_the_share_of_the_row() -> None:
    made = confusion(pieces.confusion())
    assert f"--share:{534 / (534 + 702):.3f}" in made
    assert made.count("<table") == 2
    assert "2,489" in made


def test_confusion_row_without_rows_is_not_divided_by_zero() -> None:
    made = confusion(
        {"classes": ["a", "b"], "matrices": [{"name": "m", "counts": [[0, 0], [1, 2]]}]}
    )
    assert "--share:0.000" in made


def test_confusion_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        confusion({"classes": ["a", "b"], "matrices": [{"name": "m", "counts": [[1]]}]})
