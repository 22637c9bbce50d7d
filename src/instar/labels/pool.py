"""The rows that nobody has labelled, and what the champion makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.bundle.runtime import ServedBundle
from instar.core.data import Task
from instar.core.errors import InputError
from instar.core.records import ModelVersion
from instar.core.tools import Tools
from instar.data import preprocessing as prepare
from instar.data.schema import conform
from instar.data.schema.tasks import labelled
from instar.data.schema.text import as_text
from instar.data.snapshot import load_all
from instar.data.split import sample
from instar.models import surgery, weights
from instar.models.build import build
from instar.models.predict import tensors

Floats: TypeAlias = NDArray[np.floating[Any]]
KNOWN = 2_000  # of the champion's rows, which stand for all that are labelled: bounds time


class NothingToLabel(InputError):
    """Refuse data of which every row has a label already."""

    code = "input.nothing_to_label"

    def __init__(self, target: str, rows: int) -> None:
        super().__init__(
            f"rows without a label in {target!r}",
            f"{rows:,} rows, all labelled",
            "update with them: instar update DATA --reason WHY",
        )


class NoClasses(InputError):
    """Refuse to ask how sure an answer is that is not one class out of several."""

    code = "input.no_classes"

    def __init__(self, what: str, kind: str, todo: str) -> None:
        super().__init__(f"a model of one class a row for {what}", f"a {kind} one", todo)


class NoPlace(InputError):
    """Refuse to place rows by features that the network does not show."""

    code = "input.no_place"

    def __init__(self, got: str) -> None:
        todo = "choose another way: --by entropy, --by margin"
        super().__init__("a network that ends in a Linear layer, for core-set", got, todo)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Rows of a pool in the order in which they are to be labelled, each with its score (m,)."""

    rows: NDArray[np.int64]
    scores: Floats


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows without a label, and what the champion makes of them.

    `numbers` (n,) are their places in the data, from 0. `scores` (n, k) are the champion's
    probabilities; for a regression its values. `features` (n, width) is what its last layer is
    given, `known` (m, width) the same of rows that it learnt from; both are computed when asked.
    """

    task: Task
    numbers: NDArray[np.int64]
    scores: Floats
    features: Callable[[], Floats]
    known: Callable[[], Floats]

    def probabilities(self, what: str, todo: str) -> Floats:
        """Return the probabilities, (n, k).

        Raises:
            NoClasses: the champion has none.
        """
        if not self.task.exclusive:
            raise NoClasses(what, self.task.kind.value, todo)
        return self.scores


def gather(frame: pl.DataFrame, champion: ModelVersion, tools: Tools, seed: int) -> Pool:
    """Find the rows without a label, and let the champion answer them.

    A row is without one where the target is absent or missing, or is no class that the champion
    knows, as the name of a folder with images that are yet to be sorted.

    Raises:
        InputError: the columns are not the champion's.
        NothingToLabel: every row has a label.
    """
    task, how = champion.task, champion.preprocessing
    blank = [pl.lit(None).alias(name) for name in task.columns]
    frame = frame.with_columns(
        c for c, name in zip(blank, task.columns, strict=True) if name not in frame.columns
    )
    bare = _bare(frame, task)
    if not bare.any():
        raise NothingToLabel(task.shown, frame.height)
    names = tuple(column.name for column in champion.schema.features)
    rows = conform(
        frame.with_columns(blank).filter(bare),
        champion.schema,
        task,
        names,
        unknown_category="other",
        labelled=False,
    )
    tools.progress("label", 1, 3, f"{rows.height:,} rows without a label")
    served = ServedBundle.open(tools.artifacts, champion.bundle.manifest)

    def known() -> Floats:
        old = sample(load_all(champion.train, tools.artifacts), KNOWN, seed)
        return _features(old, champion, tools)

    return Pool(
        task=task,
        numbers=bare.arg_true().to_numpy().astype(np.int64),
        scores=served.predict(prepare.columns(rows, how)),
        features=lambda: _features(rows, champion, tools),
        known=known,
    )


def _bare(frame: pl.DataFrame, task: Task) -> pl.Series:
    if not task.exclusive:
        return frame.select(~labelled(task)).to_series()
    return as_text(frame[task.target]).is_in(task.classes).fill_null(value=False).not_()


def _features(frame: pl.DataFrame, champion: ModelVersion, tools: Tools) -> Floats:
    how = champion.preprocessing
    net = build(
        champion.network,
        how.spec(champion.task),
        tools.project,
    )
    weights.load(net, tools.artifacts.read(champion.weights))
    try:
        found = surgery.features(net, tensors(prepare.inputs(frame, how)))
    except surgery.NoHead as error:
        raise NoPlace(error.got) from error
    whole = found.flatten(2).mean(dim=2) if found.dim() == 4 else found  # of pixels, the mean
    return np.asarray(whole.numpy())
