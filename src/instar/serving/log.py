"""What happened, appended to a file: the gateway's memory across a restart.

Lines of JSON, one an answer or a label, written off the reply path. The file is bounded: a full
one takes the place of the one before it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from instar.ledger.safedir import SafeDir
from instar.serving.metrics import Outcome
from instar.tasks.form import Truth

_NOW, _BEFORE, _LOCK = "log.jsonl", "log.1.jsonl", "log.lock"
_FULL = 16 << 20  # bytes of one file; two are kept
_WAITING = 20_000  # lines in memory; a disk that hangs costs the oldest, never an answer


class Answered(msgspec.Struct, tag="answered", array_like=True, frozen=True):
    """One answer. Rows are named `id`, or `id/0`, `id/1`, ... where there are several."""

    id: str
    version: str
    generation: int
    share: float
    milliseconds: float
    outcome: Outcome
    scores: list[list[float]]


class Feedback(msgspec.Struct, tag="label", array_like=True, frozen=True):
    """One true label: the index of the class, the value, or one for each of several labels."""

    id: str
    label: Truth


class Report(msgspec.Struct, tag="report", array_like=True, frozen=True):
    """One complaint about an answer."""

    id: str


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Answered | Feedback | Report)


class Log:
    """Append events; write them when told to. Several processes may write the same files."""

    def __init__(self, root: Path) -> None:
        self._folder = SafeDir(root / "serve")
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._lines = 0
        self.dropped = 0
        self._head = b"\n"  # closes a line that a crash may have cut off

    def append(self, event: Answered | Feedback | Report) -> None:
        """Take an event; it is written with the next `flush`."""
        self.put(_ENCODER.encode(event) + b"\n", 1)

    def put(self, lines: bytes, count: int) -> None:
        """Take lines that are encoded already, each with its end."""
        self._waiting.append((count, lines))
        self._lines += count
        while self._lines > _WAITING and len(self._waiting) > 1:
            lost, _ = self._waiting.popleft()
            self._lines -= lost
            self.dropped += lost

    def flush(self) -> None:
        """Write what waits."""
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        self._lines -= sum(count for count, _ in lines)
        size = self._folder.append(_NOW, b"".join([self._head, *(data for _, data in lines)]))
        self._head = b""
        if size >= _FULL:
            with self._folder.alone(_LOCK):  # another process may have done so meanwhile
                if self._folder.look(_NOW).st_size >= _FULL:
                    self._folder.rename(_NOW, _BEFORE)

    def chunks(self) -> Iterator[bytes]:
        """Read back what was written, as whole lines."""
        for name in (_BEFORE, _NOW):
            with contextlib.suppress(FileNotFoundError):
                yield self._folder.read(name) + b"\n"

    def events(self) -> Iterator[Answered | Feedback | Report]:
        """Read back what was written; a line that was cut off by a crash is passed over."""
        for chunk in self.chunks():
            for line in chunk.splitlines():
                with contextlib.suppress(msgspec.DecodeError):
                    yield _DECODER.decode(line)
