"""What a data set and the inputs of a network look like, without a single row."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Kind(enum.Enum):
    """How a column is read."""

    NUMBER = "number"
    CATEGORY = "category"
    IMAGE = "image"
    BOXES = "boxes"


class Role(enum.Enum):
    """What a column is for. Ignored columns are kept in the snapshot and read by nobody."""

    FEATURE = "feature"
    TARGET = "target"
    TIME = "time"
    ID = "id"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Column:
    """Describe one column.

    `dtype` is the Polars name (`Float64`, `String`, ...). `categories` are the known values of a
    category in sorted order. `low` and `high` bound the numbers seen in training. `missing` is
    the share of missing values seen in training, a fraction. For images `size` is (height,
    width) in pixels and `mode` is Pillow's (`L`, `RGB`).
    """

    name: str
    kind: Kind
    role: Role
    dtype: str
    categories: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    missing: float = 0.0
    size: tuple[int, int] | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """Describe the columns of a data set, in order."""

    columns: tuple[Column, ...]

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def __contains__(self, name: str) -> bool:
        return any(column.name == name for column in self.columns)

    def of(self, role: Role, kind: Kind | None = None) -> tuple[Column, ...]:
        """Select columns by role and, if given, by kind."""
        return tuple(
            column
            for column in self.columns
            if column.role is role and (kind is None or column.kind is kind)
        )

    @property
    def features(self) -> tuple[Column, ...]:
        return self.of(Role.FEATURE)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A data set by digest: the artifact is one Parquet file, images as encoded bytes.

    `source` is a label for people (a file name, never a path). `since` and `until` bound the
    time column as ISO 8601 texts where there is one.
    """

    digest: str
    rows: int
    schema: Schema
    source: str
    since: str | None = None
    until: str | None = None


VOID = 255
"""The value of a mask's pixel that has no label."""
OBJECTS = 100
"""Objects of one image, at most, in labels and in answers: as many as COCO's metrics look at."""
BOX = 4
"""Numbers of a box: x1, y1, x2, y2 in pixels."""


class TaskKind(enum.Enum):
    """What kind of answer is wanted. What follows from it stands in three families.

    `data.schema.tasks` reads the labels, `models.tasks` learns from them, `tasks` judges and
    serves the answers: one file a kind in each.
    """

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    MULTILABEL = "multilabel"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"

    @property
    def teachable(self) -> bool:
        """Tell whether answers are logits, which can be held near a teacher's; boxes are not."""
        return self is not TaskKind.DETECTION

    @property
    def judged(self) -> bool:
        """Tell whether an answer is right or wrong; a number is only near or far."""
        return self is not TaskKind.REGRESSION


@dataclass(frozen=True, slots=True)
class Task:
    """What is predicted. `classes` are the labels in the order of the network's outputs.

    A binary network has one output, the logit of `classes[1]`; a multiclass network has one
    logit a class; a regression network has one output in the target's unit. A multilabel network
    has one logit for each of `targets`, columns of 0 and 1, which are its classes too; a label is
    given from its probability in `thresholds` on, or from 0.5. A segmentation network has one
    logit a class and pixel; a mask's pixels are the places of their classes, or `VOID`. A
    detection network answers with boxes: its labels count from 1, in the order of `classes`; 0 is
    where nothing is. An object is given from its class's score in `thresholds` on, or from 0.5.
    """

    kind: TaskKind
    target: str = ""
    classes: tuple[str, ...] = ()
    time: str | None = None
    id: str | None = None
    targets: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()

    @property
    def outputs(self) -> int:
        one = self.kind in (TaskKind.BINARY, TaskKind.REGRESSION)
        return 1 if one else len(self.classes)

    @property
    def dense(self) -> bool:
        """Tell whether each pixel of an image is answered."""
        return self.kind is TaskKind.SEGMENTATION

    @property
    def objects(self) -> int:
        """Count the objects that an image may have; 0 where nobody looks for objects."""
        return OBJECTS if self.kind is TaskKind.DETECTION else 0

    @property
    def exclusive(self) -> bool:
        """Tell whether each row has one class, and no other."""
        return self.kind in (TaskKind.BINARY, TaskKind.MULTICLASS)

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns in which the truth stands."""
        return self.targets or (self.target,)

    @property
    def shown(self) -> str:
        """Name what is predicted, for people."""
        return ", ".join(self.columns)


def kind_of(task: Task | TaskKind) -> TaskKind:
    """Say what kind of answer is wanted, of a task or by itself."""
    return task if isinstance(task, TaskKind) else task.kind


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Tell a network's author what arrives: the argument of their `build` function.

    The network is called with the parts that exist, in this order: `numbers` float32
    (n, numbers), `categories` int64 (n, len(categories)), `image` float32 (n, channels,
    height, width). `categories` holds the number of codes per column; code 0 means a missing or
    unknown value. It returns logits, float32 (n, outputs); with `dense` one a pixel,
    (n, outputs, height, width) with those of the image. With `objects` it is a detector of so many
    objects an image, at most, out of `outputs` classes; see `instar.models.detector`.
    """

    numbers: int = 0
    categories: tuple[int, ...] = ()
    image: tuple[int, int, int] | None = None
    outputs: int = 1
    dense: bool = False
    objects: int = 0

    @property
    def answer(self) -> tuple[int, ...]:
        """Give the shape of one row's logits; of a detector, of its boxes, labels and scores."""
        if self.objects:
            return (self.objects, BOX + 2)
        return (self.outputs, *self.image[1:]) if self.dense and self.image else (self.outputs,)


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """Impute and scale one number: `(x if present else fill) * scale + shift`."""

    name: str
    fill: float
    scale: float
    shift: float


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """Code one category: `values[i]` becomes i + 1, everything else 0."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """Scale one image: pixel * scale + shift, channels first. Size in pixels, Pillow mode."""

    name: str
    height: int
    width: int
    mode: str
    scale: float
    shift: float

    @property
    def channels(self) -> int:
        return len(self.mode)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How raw columns become a network's inputs: fitted on training rows, shipped in the bundle.

    With `onehot`, category codes are spread into 0/1 numbers behind the scaled numbers (one
    place per known value, none for code 0) and the network has no `categories` input.
    """

    numbers: tuple[NumberColumn, ...] = ()
    categories: tuple[CategoryColumn, ...] = ()
    image: ImageColumn | None = None
    onehot: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        image = (self.image.name,) if self.image else ()
        names = [c.name for c in self.numbers] + [c.name for c in self.categories]
        return (*names, *image)

    def spec(self, task: Task) -> InputSpec:
        """Derive what the network of a task receives, and what it is to answer."""
        return self.inputs(task.outputs, dense=task.dense, objects=task.objects)

    def inputs(self, outputs: int, *, dense: bool = False, objects: int = 0) -> InputSpec:
        """Derive what a network receives, and what it is to answer."""
        codes = tuple(len(column.values) + 1 for column in self.categories)
        spread = sum(codes) - len(codes) if self.onehot else 0
        image = self.image
        return InputSpec(
            numbers=len(self.numbers) + spread,
            categories=() if self.onehot else codes,
            image=(image.channels, image.height, image.width) if image else None,
            outputs=outputs,
            dense=dense,
            objects=objects,
        )


@dataclass(frozen=True, slots=True)
class Split:
    """The three parts of one data set, each a snapshot of its own.

    `unlabelled` are rows without a label, where they are kept: they belong to no part.
    """

    train: Snapshot
    valid: Snapshot
    test: Snapshot
    how: str = "stratified"
    unlabelled: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class Cleaning:
    """One thing that was done to the data: the action, its column, how many rows it touched."""

    action: str
    column: str
    rows: int
    detail: Mapping[str, str] = field(default_factory=dict)
