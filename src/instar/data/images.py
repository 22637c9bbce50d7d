"""Encoded images to pixels."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from instar.core.errors import InputError

MODES = ("L", "RGB")


class BrokenImage(InputError):
    """Refuse bytes that do not decode to an image."""

    code = "input.broken_image"

    def __init__(self, column: str, row: int) -> None:
        super().__init__("an image that decodes", f"row {row} of {column!r}", "export it again")


class WrongImage(InputError):
    """Refuse an image of another size or mode than the network reads."""

    code = "input.image_form"

    def __init__(self, column: str, row: int, wanted: str, got: str) -> None:
        super().__init__(f"{wanted} pixels", f"{got} in row {row} of {column!r}", "convert it")


def describe(size: tuple[int, int], mode: str) -> str:
    """Write size (height, width) and mode as people do.

    Example:
        >>> describe((28, 32), "RGB")
        '28 x 32 RGB'
    """
    return f"{size[0]} x {size[1]} {mode}"


def decode(data: bytes | None, column: str, row: int) -> Image.Image:
    """Decode one image whole, or say which row could not be."""
    try:
        image = Image.open(io.BytesIO(data or b""))
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BrokenImage(column, row) from error
    return image


def pixels(
    column: pl.Series, size: tuple[int, int], mode: str, first: int = 0
) -> NDArray[np.uint8]:
    """Decode a column of encoded images: uint8 (n, h, w), with colours (n, h, w, c).

    Args:
        size: Height and width that every image must have.
        mode: Pillow mode that every image must have.
        first: Row number of the first image, for messages.
    Raises:
        BrokenImage: bytes do not decode.
        WrongImage: an image has another size or mode.
    """
    tail = (len(mode),) if len(mode) > 1 else ()
    out = np.empty((len(column), *size, *tail), np.uint8)
    for row, data in enumerate(column):
        image = decode(data, column.name, first + row)
        got = (image.height, image.width)
        if got != size or image.mode != mode:
            raise WrongImage(
                column.name, first + row, describe(size, mode), describe(got, str(image.mode))
            )
        out[row] = np.asarray(image)
    return out
