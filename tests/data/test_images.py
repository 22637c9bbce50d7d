import numpy as np
import polars as pl
import pytest

from instar.data.images import BrokenImage, WrongImage, pixels


def test_pixels_decode_to_what_was_encoded(png):
    column = pl.Series("image", [png(7), png(9)])
    assert pixels(column, (4, 6), "L").tolist() == [[[7] * 6] * 4, [[9] * 6] * 4]
    coloured = pixels(pl.Series("image", [png(5, mode="RGB")]), (4, 6), "RGB")
    assert coloured.shape == (1, 4, 6, 3)
    assert np.all(coloured == 5)


@pytest.mark.parametrize("data", [b"", b"not an image", None])
def test_pixels_broken_image_is_refused_with_its_row(png, data):
    with pytest.raises(BrokenImage, match="row 11"):
        pixels(pl.Series("image", [png(), data], dtype=pl.Binary), (4, 6), "L", first=10)


def test_pixels_truncated_image_is_refused(png):
    with pytest.raises(BrokenImage):
        pixels(pl.Series("image", [png()[:-20]]), (4, 6), "L")


@pytest.mark.parametrize("form", [{"size": (6, 4)}, {"mode": "RGB"}])
def test_pixels_other_form_is_refused(png, form):
    with pytest.raises(WrongImage, match="4 x 6 L"):
        pixels(pl.Series("image", [png(**form)]), (4, 6), "L")
