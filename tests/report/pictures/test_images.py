from __future__ import annotations

import binascii

import pytest

from instar.report.pictures.images import images
from tests.report import pieces


def test_images_travel_inside_the_page_with_their_words() -> None:
    made = images(pieces.images())
    assert made.count('src="data:image/png;base64,') == 6
    assert 'alt="row 2: 3, now 8"' in made


def test_images_that_are_no_base64_are_refused() -> None:
    with pytest.raises(binascii.Error):
        images({"items": [{"png": '"><script>', "caption": "x"}]})
