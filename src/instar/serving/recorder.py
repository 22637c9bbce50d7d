"""Predictions kept for later: a part of the answered rows with their inputs, and their labels.

Off unless asked for. A worker takes some of its answers after the reply was sent, and writes them
in a thread, into segments of its own (`segments.py`). Memory and disk are bounded: what does not
fit into memory is dropped and counted, and on disk the oldest segments make room.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import random
from typing import TYPE_CHECKING, Any

import numpy as np

from instar.bundle.columns import NUMBERS, STRINGS
from instar.core.data import Task
from instar.core.errors import BackendError
from instar.ledger.safedir import SafeDir
from instar.serving.models import Version
from instar.tasks.form import Truth

if TYPE_CHECKING:
    from instar.serving.batching import Job
    from instar.serving.segments import Segment

_ROWS = 20_000  # that wait in memory
_VALUES = 1 << 21  # that they have together
_BATCH = 512  # rows of a batch; fewer, once the first of them has waited
_WAIT_S = 2.0
_OPEN = 8  # segments of one worker: one a version, and one of labels
_LOCK = "predictions.lock"


@dataclass(frozen=True, slots=True)
class Keeping:
    """How much of the answers is kept: a share of requests, and bounds of the files.

    `total_mb` and `segment_mb` are MB of 10^6 bytes, `segment_s` seconds.
    """

    share: float = 0.0
    total_mb: float = 256.0
    segment_mb: float = 8.0
    segment_s: float = 300.0


@dataclass(slots=True)
class _Kept:
    at: float
    job: Job
    version: Version
    generation: int
    rows: Sequence[Sequence[float]]
    values: int


class Recorder:
    """Keep some answered rows of one worker, and the labels that it is told.

    Args:
        root: The workspace's own folder.
        slot: The worker's post, which its files are named by.
        keep: How much.
    """

    def __init__(self, root: Path, slot: int, keep: Keeping) -> None:
        self._folder, self._slot, self._keep = SafeDir(root / "serve"), slot, keep
        self._waiting: deque[_Kept] = deque()
        self._labels: deque[tuple[str, str, float]] = deque()
        self._rows = self._values = 0
        self._open: dict[str, Segment] = {}
        self._number = 0
        self.kept = self.dropped = 0

    # --- on the loop --------------------------------------------------------------------------

    def see(self, job: Job, rows: Sequence[Sequence[float]]) -> None:
        """Take an answered request, by chance; where memory is full it is dropped."""
        if random() >= self._keep.share:
            return
        values = sum(_size(column) for column in job.columns.values())
        if self._rows + len(rows) > _ROWS or self._values + values > _VALUES:
            self.dropped += len(rows)
            return
        self._rows += len(rows)
        self._values += values
        arm = job.arm
        kept = _Kept(time.time(), job, arm.version, arm.generation, rows, values)
        self._waiting.append(kept)

    def label(self, name: str, label: Truth, task: Task) -> None:
        """Take a true label."""
        if len(self._labels) >= _ROWS:
            self.dropped += 1
            return
        self._labels.append((name, told(label, task), time.time()))

    # --- in a thread --------------------------------------------------------------------------

    def flush(self, *, end: bool = False) -> None:
        """Write what waits, where it is enough for a batch or has waited; `end`: all of it.

        Raises:
            BackendError: the disk refuses; what was to be written is dropped.
        """
        now = time.time()
        first = self._waiting[0].at if self._waiting else now
        ripe = end or self._rows >= _BATCH or now - first >= _WAIT_S
        if ripe and self._waiting:
            self._write_answers([self._waiting.popleft() for _ in range(len(self._waiting))], now)
        if self._labels and (end or now - self._labels[0][2] >= _WAIT_S):
            self._write_labels([self._labels.popleft() for _ in range(len(self._labels))], now)
        self._rotate(now, end=end)

    def _write_answers(self, some: list[_Kept], now: float) -> None:
        from instar.serving.segments import ANSWERS, answers

        self._rows -= sum(len(one.rows) for one in some)
        self._values -= sum(one.values for one in some)
        versions = {one.version.manifest: one.version for one in some}
        for manifest, version in versions.items():
            columns: dict[str, list[Any]] = {
                name: [] for name in ("id", "version", "generation", "at", "scores", "inputs")
            }
            for one in some:
                if one.version.manifest == manifest:
                    self._lay_out(one, columns)
            schema = answers(version.inputs)
            self._write(f"{manifest}", ANSWERS, schema, columns, now)

    def _lay_out(self, one: _Kept, columns: dict[str, list[Any]]) -> None:
        """Add the rows of one request; one with a value that no column holds is dropped."""
        try:
            inputs = named(one.job.columns, one.version, len(one.rows))
        except (TypeError, ValueError, OverflowError):
            self.dropped += len(one.rows)
            return
        name, single = one.job.name, len(one.rows) == 1
        for place, row in enumerate(one.rows):
            columns["id"].append((name if single else f"{name}/{place}") if name else None)
            columns["version"].append(one.version.name)
            columns["generation"].append(one.generation)
            columns["at"].append(int(one.at * 1e6))
            columns["scores"].append(list(row))
            columns["inputs"].append({key: values[place] for key, values in inputs.items()})

    def _write_labels(self, some: list[tuple[str, str, float]], now: float) -> None:
        from instar.serving.segments import LABEL, LABELS

        names, labels, at = zip(*some, strict=True)
        columns = {"id": names, "label": labels, "at": [int(moment * 1e6) for moment in at]}
        self._write(LABELS, LABELS, LABEL, columns, now)

    def _write(
        self, key: str, kind: str, schema: Any, columns: Mapping[str, Sequence[Any]], now: float
    ) -> None:
        from instar.serving import segments

        rows = len(columns["id"])
        if not rows:
            return
        try:
            if key not in self._open:
                self._make_room()
                self._number += 1
                name = f"{int(now * 1e6):018d}-{self._slot}-{os.getpid()}-{self._number}-{kind}"
                sink = self._folder.appending(f"{segments.FOLDER}/{name}.arrows")
                self._open[key] = segments.Segment(sink, schema, now)
            self._open[key].write(columns)
            self.kept += rows
        except (OSError, BackendError):
            self.dropped += rows
            if key in self._open:
                self._open.pop(key).close()
            raise

    def _rotate(self, now: float, *, end: bool) -> None:
        """Close segments that are full or old."""
        full, old = 1e6 * self._keep.segment_mb, self._keep.segment_s
        for key, segment in list(self._open.items()):
            many = len(self._open) > _OPEN
            if end or many or segment.size >= full or now - segment.begun >= old:
                self._open.pop(key).close()

    def _make_room(self) -> None:
        """Let the oldest segments go, so that all of them stay within their bound."""
        from instar.serving.segments import FOLDER

        with self._folder.alone(_LOCK):
            names = [f"{FOLDER}/{name}" for name in self._folder.list(FOLDER)]
            sizes = {name: self._folder.look(name).st_size for name in names}
            most = 1e6 * (self._keep.total_mb - self._keep.segment_mb)
            for name in names:
                if sum(sizes.values()) <= most:
                    break
                self._folder.remove(name)
                del sizes[name]


def named(columns: Mapping[str, Any], version: Version, rows: int) -> dict[str, list[Any]]:
    """Lay columns out by name, a value a row: numbers, texts, or the raw bytes of an image.

    Raises:
        TypeError, ValueError, OverflowError: a value is none that such a column can hold.
    """
    preprocessing = version.bundle.preprocessing
    found: dict[str, list[Any]] = {}
    matrices = {
        NUMBERS: [column.name for column in preprocessing.numbers],
        STRINGS: [column.name for column in preprocessing.categories],
    }
    for key, names in matrices.items():
        if key in columns:
            for place, name in enumerate(names):
                found[name] = [row[place] for row in columns[key]]
    for name, item in version.inputs.items():
        kind = item["datatype"]
        values = found.get(name, columns.get(name))
        if values is None:
            found[name] = [None] * rows
        elif kind == "UINT8":
            found[name] = [np.ascontiguousarray(image, np.uint8).tobytes() for image in values]
        else:
            read = float if kind == "FP64" else str
            found[name] = [None if value is None else read(value) for value in values]
    return found


def told(label: Truth, task: Task) -> str:
    """Write a label as data hold it: the name of a class, a number, or an object, in JSON.

    Example:
        >>> from instar.core.data import TaskKind
        >>> told(1.0, Task(TaskKind.BINARY, "late", ("no", "yes")))
        '"yes"'
    """
    if isinstance(label, list):
        return json.dumps(dict(zip(task.classes, label, strict=True)))
    return json.dumps(task.classes[int(label)] if task.exclusive else label)


def _size(column: Any) -> int:
    """Count the values of a column, or of a matrix."""
    if isinstance(column, np.ndarray):
        return column.size
    return len(column) * (len(column[0]) if isinstance(column[0], list) else 1)
