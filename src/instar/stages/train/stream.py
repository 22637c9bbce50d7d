"""Training rows that do not fit into memory: read from Parquet piece by piece, in every epoch.

The pieces come in an order drawn anew for each epoch; those of a window are read together, and
their rows are shuffled before they are dealt. What a window leaves goes into the next one, so that
every row is dealt once an epoch, in as many batches of the same sizes as if all were held.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import torch

from instar.core.data import Preprocessing, Task
from instar.data import snapshot
from instar.models.tasks import lesson_of
from instar.stages.train import rows as table
from instar.stages.train.course import Course
from instar.stages.train.rows import Rows

_WINDOW = 8  # the part of the allowed memory that a window's tensors take: 1/8
_PIECES = 4  # of a window: the more, the better shuffled, and the more reads
_COPIES = 3.0  # of the tensors that are alive at once while all rows are read into memory
_LEAST = 256  # rows of a piece


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one file, from `start` on; `rows` are left of the `length` that are read."""

    file: Path
    start: int
    length: int
    rows: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows that are read as they are needed; see `source.Source`.

    `read` gives a piece's rows, `window` is how many rows are shuffled together, `replay` are old
    rows that are held and join each batch.
    """

    pieces: Sequence[Piece]
    read: Callable[[Piece], Rows]
    window: int
    replay: Rows | None = None

    @property
    def fresh(self) -> int:
        return sum(piece.rows for piece in self.pieces)

    def deal(self, order: torch.Generator, course: Course) -> Iterator[tuple[Rows, torch.Tensor]]:
        sizes = _sizes(self.fresh, course.steps(self.fresh))
        own = torch.Generator().manual_seed(int(torch.randint(1 << 62, (), generator=order)))
        share = course.replayed(self.fresh) if self.replay else 0
        replayed = _drawn(len(self.replay or ()), share, own)
        left: Rows | None = None
        for pieces in self._windows(own):
            for piece in pieces:
                made = self.read(piece)
                left = made if left is None else table.join(left, made)
            if left is None:
                return
            shuffled, dealt = torch.randperm(len(left), generator=own), 0
            data = left if self.replay is None else table.join(plain(left), self.replay)
            while sizes and dealt + sizes[-1] <= len(left):
                places = shuffled[dealt : dealt + sizes[-1]]
                dealt += sizes.pop()
                yield data, torch.cat([places, len(left) + next(replayed)]) if share else places
            del data
            left = plain(left.take(shuffled[dealt:])) if dealt < len(left) else None

    def _windows(self, order: torch.Generator) -> Iterator[list[Piece]]:
        window: list[Piece] = []
        for place in torch.randperm(len(self.pieces), generator=order).tolist():
            window.append(self.pieces[place])
            if sum(piece.rows for piece in window) >= self.window:
                yield window
                window = []
        if window:
            yield window


def plain(rows: Rows) -> Rows:
    """Forget which of the rows are fresh: all are."""
    return replace(rows, fresh=None)


def _sizes(rows: int, steps: int) -> list[int]:
    """List the sizes of an epoch's batches, the last one first, as `tensor_split` makes them."""
    size, more = divmod(rows, steps)
    return [size] * (steps - more) + [size + 1] * more


def _drawn(rows: int, share: int, order: torch.Generator) -> Iterator[torch.Tensor]:
    """Draw `share` replayed rows a time; all are used up before one comes twice."""
    deck = torch.zeros(0, dtype=torch.int64)
    while share:
        while len(deck) < share:
            deck = torch.cat([deck, torch.randperm(rows, generator=order)])
        yield deck[:share]
        deck = deck[share:]


def row_bytes(how: Preprocessing, task: Task) -> int:
    """Count the bytes of a row as tensors, its label included.

    Example:
        >>> from instar.core.data import NumberColumn, TaskKind
        >>> how = Preprocessing((NumberColumn("x", 0.0, 1.0, 0.0),) * 3, (), None)
        >>> row_bytes(how, Task(TaskKind.BINARY, "y", ("no", "yes")))
        16
    """
    spec = how.spec(task)
    _, labels = lesson_of(task.kind).example(spec)
    label = labels.nbytes // len(labels)
    return 4 * spec.numbers + 8 * len(spec.categories) + 4 * math.prod(spec.image or (0,)) + label


def held_bytes(rows: int, how: Preprocessing, task: Task) -> int:
    """Say how much memory it takes to read so many rows at once: the table, and tensors twice."""
    columns = len(how.numbers) + len(how.categories)
    return round(rows * (_COPIES * row_bytes(how, task) + 8 * columns))


def piece_rows(allowed: int, how: Preprocessing, task: Task) -> int:
    """Say how many rows a piece has where so many bytes are allowed."""
    each = held_bytes(1, how, task)
    return max(_LEAST, allowed // (_WINDOW * _PIECES * each))


def pieces(
    files: Sequence[tuple[Path, int]], size: int, count: Callable[[pl.DataFrame], int] | None
) -> list[Piece]:
    """Cut files with so many rows into pieces of at most `size` rows.

    Args:
        count: Says how many rows of a piece are left once it is read; None: all.
    """
    cut = []
    for file, rows in files:
        for start in range(0, rows, size):
            length = min(size, rows - start)
            left = count(snapshot.part(file, start, length)) if count else length
            if left:
                cut.append(Piece(file, start, length, left))
    return cut


def stream(cut: Sequence[Piece], size: int, read: Callable[[Piece], Rows]) -> Stream:
    """Make a stream of pieces of at most `size` rows."""
    return Stream(cut, read, _PIECES * size)
