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

_NOW, _BEFORE = "log.jsonl", "log.1.jsonl"
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


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Answered | Feedback)


class Log:
    """Append events; write them when told to."""

    def __init__(self, root: Path) -> None:
        self._folder = SafeDir(root / "serve")
        self._waiting: deque[bytes] = deque(maxlen=_WAITING)
        self.dropped = 0
        self._head = b"\n"  # closes a line that a crash may have cut off

    def append(self, event: Answered | Feedback) -> None:
        """Take an event; it is written with the next `flush`."""
        self.dropped += len(self._waiting) == _WAITING
        self._waiting.append(_ENCODER.encode(event))

    def flush(self) -> None:
        """Write what waits."""
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        size = self._folder.append(_NOW, self._head + b"\n".join([*lines, b""]))
        self._head = b""
        if size >= _FULL:
            self._folder.rename(_NOW, _BEFORE)

    def events(self) -> Iterator[Answered | Feedback]:
        """Read back what was written; a line that was cut off by a crash is passed over."""
        for name in (_BEFORE, _NOW):
            with contextlib.suppress(FileNotFoundError), self._folder.open(name) as file:
                for line in file:
                    with contextlib.suppress(msgspec.DecodeError):
                        yield _DECODER.decode(line)
