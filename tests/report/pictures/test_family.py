from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import instar.report.pictures as family
from instar.report.pictures import PICTURES, draw
from tests.report import pieces

SAMPLES = {
    "bars": pieces.bars({"a": 1.0, "b": -0.5}, 0.7, "fraction"),
    "calibration": pieces.calibration(),
    "confusion": pieces.confusion(),
    "histograms": pieces.temperature(),
    "images": pieces.images(),
    "intervals": pieces.carriers(-0.09),
    "lines": {"kind": "lines", "x": [1, 2], "series": [{"name": "a", "y": [1.0, 2.0]}]},
    "roc": pieces.roc(0.741, 0.756),
    "table": pieces.flips(),
}


def spoilt(value: object) -> object:
    """Put a missing value and hostile words wherever a producer might."""
    match value:
        case dict():
            return {key: spoilt(item) if key != "png" else item for key, item in value.items()}
        case list() if value and all(isinstance(item, float) for item in value):
            return [None, *value[1:]]
        case list():
            return [spoilt(item) for item in value]
        case str():
            return f"{value}<script>"
        case _:
            return value


def test_family_holds_every_file_of_its_folder() -> None:
    files = {path.stem for path in Path(family.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(PICTURES) == set(SAMPLES)


@pytest.mark.parametrize("kind", SAMPLES)
def test_picture_is_well_formed(kind: str) -> None:
    made = draw(SAMPLES[kind])
    assert "cannot be drawn" not in made
    closed = re.sub(r"(<img [^>]*)>", r"\1/>", made)
    assert ET.fromstring(f"<body>{closed}</body>") is not None


@pytest.mark.parametrize("kind", SAMPLES)
def test_picture_spoilt_is_drawn_or_refused_without_harm(kind: str) -> None:
    made = draw({**spoilt(SAMPLES[kind]), "kind": kind})
    assert "<script>" not in made
    assert "nan" not in made.lower()


@pytest.mark.parametrize("kind", SAMPLES)
def test_picture_without_its_numbers_becomes_a_note(kind: str) -> None:
    assert "cannot be drawn" in draw({"kind": kind})


def test_no_picture_draws_nothing() -> None:
    assert draw({}) == ""
