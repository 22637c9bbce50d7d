"""What images look like, in numbers that can be compared."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from instar.data.images import decode

SIDE = 6  # a classifier sees an image as the means over 6 x 6 fields


def looks(images: pl.Series) -> pl.DataFrame:
    """Measure brightness and contrast (mean and deviation of the grey values, in [0, 1])."""
    grey = [np.asarray(image, np.float64) / 255 for image in _grey(images)]
    return pl.DataFrame(
        {
            f"{images.name} brightness": [float(each.mean()) for each in grey],
            f"{images.name} contrast": [float(each.std()) for each in grey],
        }
    )


def fields(images: pl.Series) -> NDArray[np.float64]:
    """Shrink images to coarse fields of grey, shape (n, 36), in [0, 1]."""
    small = [
        np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64).ravel() / 255
        for image in _grey(images)
    ]
    return np.array(small).reshape(len(small), SIDE * SIDE)


def _grey(images: pl.Series) -> list[Image.Image]:
    return [decode(data, images.name, row).convert("L") for row, data in enumerate(images)]
