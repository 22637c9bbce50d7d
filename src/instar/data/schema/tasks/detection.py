"""Objects in images, in a column that lists the label and the box of each."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.data import BOX, OBJECTS, Kind, Task
from instar.data import boxes
from instar.data.images import decode
from instar.data.schema.errors import NoLabels, UnknownLabel
from instar.data.schema.tasks.target import Marks, Target, one_label, strata_of


class StrangeObject(UnknownLabel):
    """Refuse an object of a class that the network does not know."""

    code = "input.strange_object"
    todo = "correct it; a detector of other classes is to be adopted anew"


class Detection(Target):
    """A list of objects an image; an empty one is an image without objects.

    A missing list leaves the row without a label. Labels are names of classes.
    """

    kind = Kind.BOXES

    def infer(self, frame: pl.DataFrame, wanted: Task) -> Task:
        found = boxes.canonical(frame[wanted.target])
        names = tuple(sorted({one["label"] for cell in one_label(found).to_list() for one in cell}))
        task = dataclasses.replace(wanted, classes=wanted.classes or names)
        self._refuse(frame.with_columns(found), task)
        return task

    def check(self, frame: pl.DataFrame, task: Task, new_classes: str) -> None:
        self._refuse(frame.with_columns(boxes.canonical(frame[task.target])), task)

    def knows(self, task: Task) -> pl.Expr | None:
        return None

    def read(self, frame: pl.DataFrame, task: Task) -> NDArray[Any]:
        """Read x1, y1, x2, y2 and the class of each object, float32 (n, 100, 5).

        Classes count from 1, as in torchvision; rows of zeros fill up what is not there.
        """
        column = boxes.canonical(frame[task.target])
        if column.null_count():
            raise NoLabels(task.target)
        places = {name: place for place, name in enumerate(task.classes, 1)}
        out = np.zeros((frame.height, OBJECTS, BOX + 1), np.float32)
        for row, cell in enumerate(column.to_list()):
            for place, one in enumerate(cell):
                out[row, place] = *one["box"], places[one["label"]]
        return out

    def strata(self, frame: pl.DataFrame, task: Task, seed: int) -> NDArray[np.int64]:
        """Take the sets of classes that images show, as labels are taken."""
        return strata_of(np.nan_to_num(self._shown(frame, task)) > 0)

    def marks(self, frame: pl.DataFrame, task: Task) -> Marks | None:
        """Say which classes each image shows, yes or no."""
        return Marks(task.classes, self._shown(frame, task), apart=True)

    @staticmethod
    def _refuse(frame: pl.DataFrame, task: Task) -> None:
        found = frame[task.target]
        if not any(one_label(found).to_list()):
            raise NoLabels(task.target)
        cells = enumerate(found.to_list())
        labels = [(row, one["label"]) for row, cell in cells for one in cell or ()]
        strange = [(row, name) for row, name in labels if name not in task.classes]
        if strange:
            row, name = strange[0]
            count = sum(name == other for _, other in strange)
            raise StrangeObject(task.target, name, count, row, task.classes)
        boxes.refuse(found, _size(frame))

    @staticmethod
    def _shown(frame: pl.DataFrame, task: Task) -> NDArray[np.float64]:
        shown = np.zeros((frame.height, len(task.classes)))
        for row, cell in enumerate(frame[task.target].to_list()):
            if cell is None:
                shown[row] = np.nan
                continue
            for name in {one["label"] for one in cell}:
                shown[row, task.classes.index(name)] = 1.0
        return shown


def _size(frame: pl.DataFrame) -> tuple[int, int] | None:
    """Give the height and width of the images, which are all of one size, in pixels."""
    for column in frame.get_columns():
        if column.dtype == pl.Binary and len(found := column.drop_nulls()):
            image = decode(found[0], column.name, 0)
            return image.height, image.width
    return None
