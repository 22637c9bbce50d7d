"""Divide rows into parts, and draw from them; the same seed gives the same rows."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.data import Task
from instar.core.errors import InputError, PolicyError, UnknownName
from instar.core.policy import SplitSettings
from instar.data.schema.tasks import target_of


class WrongShares(PolicyError):
    """Refuse shares that are not three positive fractions of one whole."""

    code = "policy.split_shares"

    def __init__(self, shares: tuple[float, ...]) -> None:
        super().__init__("three shares that sum to 1", str(list(shares)), "set admit.split.shares")


class NoSplitColumn(PolicyError):
    """Refuse a split that needs a column nobody named."""

    code = "policy.split_column"

    def __init__(self, how: str, setting: str) -> None:
        super().__init__(f"a column for the {how} split", "none", f"set {setting}")


class TooFewRows(InputError):
    """Refuse rows, moments or groups too few to fill three parts."""

    code = "input.too_few_rows"

    def __init__(self, how: str) -> None:
        super().__init__(
            f"rows for all three parts of a {how} split",
            "an empty part",
            "deliver more, or set admit.split.how",
        )


def split(
    frame: pl.DataFrame, task: Task, settings: SplitSettings, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Divide rows into train, validation and test; each keeps the order of the frame.

    `stratified` keeps class shares in every part, `time` puts the latest rows into the test,
    `group` keeps the rows of one group together.

    Raises:
        PolicyError: shares do not sum to 1, or the column that the way needs is not named.
        InputError: a part would be empty.
    Example:
        >>> from instar.core.data import TaskKind
        >>> frame = pl.DataFrame({"x": range(100), "y": ["a", "b"] * 50})
        >>> task = Task(TaskKind.BINARY, "y", ("a", "b"))
        >>> [part.height for part in split(frame, task, SplitSettings(), seed=0)]
        [70, 14, 16]
    """
    shares = settings.shares
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise WrongShares(shares)
    match settings.how:
        case "stratified":
            places = _stratified(frame, task, seed)
        case "time":
            places = _by_time(frame, task)
        case "group":
            places = _by_group(frame, settings.group, seed)
    part = np.searchsorted(np.cumsum(shares)[:2], places, side="right")
    train, valid, test = (frame.filter(part == number) for number in range(3))
    if min(train.height, valid.height, test.height) == 0:
        raise TooFewRows(settings.how)
    return train, valid, test


def sample(frame: pl.DataFrame, rows: int, seed: int) -> pl.DataFrame:
    """Draw at most `rows` rows, each as likely as any other, in the order of the frame."""
    return frame if frame.height <= rows else frame[drawn(frame.height, rows, seed)]


def drawn(height: int, rows: int, seed: int) -> NDArray[np.int64]:
    """Draw row numbers out of `height`, each as likely as any other, in order.

    Example:
        >>> drawn(10, 3, seed=0).tolist()
        [5, 6, 9]
    """
    some = np.random.default_rng(seed).choice(height, rows, replace=False, shuffle=False)
    return np.sort(some)


def _places(rank: NDArray[np.int64], size: NDArray[np.int64] | int) -> NDArray[np.float64]:
    return (rank + 0.5) / size  # the middle of each row's place in (0, 1)


def _stratified(frame: pl.DataFrame, task: Task, seed: int) -> NDArray[np.float64]:
    stratum = target_of(task).strata(frame, task, seed)
    order = np.random.default_rng(seed).permutation(len(stratum))
    order = order[np.argsort(stratum[order], kind="stable")]
    sizes = np.bincount(stratum)
    rank = np.empty(len(stratum), np.int64)
    rank[order] = np.arange(len(stratum)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return _places(rank, sizes[stratum])


def _by_time(frame: pl.DataFrame, task: Task) -> NDArray[np.float64]:
    if task.time is None:
        raise NoSplitColumn("time", "task.time")
    # Rows of one moment stay together: the first of them decides for all.
    return _places(frame[task.time].rank("min").to_numpy().astype(np.int64) - 1, frame.height)


def _by_group(frame: pl.DataFrame, group: str | None, seed: int) -> NDArray[np.float64]:
    if group is None:
        raise NoSplitColumn("group", "admit.split.group")
    if group not in frame.columns:
        raise UnknownName("column", group, frame.columns)
    names, member, sizes = np.unique(
        frame[group].cast(pl.String).fill_null("").to_numpy().astype(str),
        return_inverse=True,
        return_counts=True,
    )
    order = np.random.default_rng(seed).permutation(len(names))
    middle = np.empty(len(names))
    middle[order] = np.cumsum(sizes[order]) - sizes[order] / 2
    return middle[member] / frame.height
