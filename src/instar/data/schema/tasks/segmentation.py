"""A class for each pixel of an image, in a column of encoded masks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.data import VOID, Kind, Task
from instar.data.images import WrongImage, decode, describe
from instar.data.schema.errors import NoLabels, OneClass, WrongClasses
from instar.data.schema.tasks.target import Marks, Target, one_label, strata_of

MODES = ("L", "P", "1")
"""Pillow modes of a mask: its values, or the places in its palette, are those of the classes."""


class Segmentation(Target):
    """Masks as encoded images of one channel, as large as the image beside them.

    A pixel's value is the place of its class; 255 is a pixel without a label. A missing mask
    leaves the row without one.
    """

    kind = Kind.IMAGE

    def infer(self, frame: pl.DataFrame, wanted: Task) -> Task:
        found = one_label(self._bytes(frame[wanted.target]))
        size = decode(found[0], found.name, 0)
        for other in frame.columns:
            images = frame[other].drop_nulls()
            if images.dtype == pl.Binary and other != wanted.target and len(images):
                image = decode(images[0], other, 0)
                if image.size != size.size:
                    wish = describe((image.height, image.width), "L")
                    got = describe((size.height, size.width), str(size.mode))
                    raise WrongImage(found.name, 0, wish, got)
        seen = _values(masks(found))
        classes = wanted.classes or tuple(str(place) for place in range(max(seen) + 1))
        task = dataclasses.replace(wanted, classes=classes)
        self._refuse(seen, task)
        return task

    def check(self, frame: pl.DataFrame, task: Task, new_classes: str) -> None:
        found = one_label(self._bytes(frame[task.target]))
        self._refuse(_values(masks(found)), task)

    def knows(self, task: Task) -> pl.Expr | None:
        return None

    def read(self, frame: pl.DataFrame, task: Task) -> NDArray[Any]:
        """Decode masks, uint8 (n, height, width)."""
        if frame[task.target].null_count():
            raise NoLabels(task.target)
        return masks(frame[task.target])

    def strata(self, frame: pl.DataFrame, task: Task, seed: int) -> NDArray[np.int64]:
        """Take the sets of classes that images show, as labels are taken."""
        return strata_of(np.nan_to_num(self._shares(frame, task)) > 0)

    def marks(self, frame: pl.DataFrame, task: Task) -> Marks | None:
        """Say how much of each image each class has."""
        return Marks(task.classes, self._shares(frame, task))

    @staticmethod
    def _bytes(column: pl.Series) -> pl.Series:
        if column.dtype not in (pl.Binary, pl.Null):
            wish = f"encoded masks in column {column.name!r}"
            raise WrongClasses(wish, f"{column.dtype}")
        return column

    @staticmethod
    def _refuse(seen: tuple[int, ...], task: Task) -> None:
        if not seen:
            raise NoLabels(task.target)
        if seen[-1] >= len(task.classes):
            wish = f"pixels below {len(task.classes)} in {task.target!r}, or {VOID} for none"
            raise WrongClasses(wish, str(seen[-1]))
        if len(seen) == 1:
            raise OneClass(task.target, task.classes[seen[0]])

    @staticmethod
    def _shares(frame: pl.DataFrame, task: Task) -> NDArray[np.float64]:
        shares = np.full((frame.height, len(task.classes)), np.nan)
        for row, data in enumerate(frame[task.target]):
            if data is not None:
                pixels = np.asarray(decode(data, task.target, row), np.uint8).ravel()
                counts = np.bincount(pixels[pixels != VOID], minlength=len(task.classes))
                if counts.any():
                    shares[row] = counts[: len(task.classes)] / counts.sum()
        return shares


def masks(column: pl.Series) -> NDArray[np.uint8]:
    """Decode a column of masks without missing ones, uint8 (n, height, width).

    Raises:
        BrokenImage: bytes do not decode.
        WrongImage: a mask has more than one channel, or another size than the first.
    """
    out: list[NDArray[np.uint8]] = []
    for row, data in enumerate(column):
        image = decode(data, column.name, row)
        got = describe((image.height, image.width), str(image.mode))
        if image.mode not in MODES:
            raise WrongImage(column.name, row, " or ".join(MODES), got)
        pixels = np.asarray(image).astype(np.uint8)
        if out and pixels.shape != out[0].shape:
            raise WrongImage(column.name, row, describe(out[0].shape, "L"), got)
        out.append(pixels)
    return np.stack(out)


def _values(pixels: NDArray[np.uint8]) -> tuple[int, ...]:
    """List the classes that masks show, in order."""
    return tuple(int(value) for value in np.unique(pixels) if value != VOID)
