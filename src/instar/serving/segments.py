"""Files of rows that grow: segments in the streaming format of Arrow. The one user of pyarrow here.

A segment is a schema and batches behind it, each whole by itself. One that a crash cut off is
read up to its last whole batch; the others do not know of it. Source: "IPC Streaming Format" of
https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from instar.core.errors import InputError
from instar.ledger.extras import MissingExtra
from instar.ledger.safedir import SafeDir

try:
    import pyarrow as pa
except ImportError as error:
    raise MissingExtra("a log of predictions", "log") from error

FOLDER = "predictions"
ANSWERS, LABELS = "a", "l"  # how the names of segments end
_TYPES = {"FP64": pa.float64(), "BYTES": pa.string(), "UINT8": pa.binary()}
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream that was closed
_AT = pa.timestamp("us", "UTC")

LABEL = pa.schema([("id", pa.string()), ("label", pa.string()), ("at", _AT)])
"""A true label: the name of a class, a number, or an object of labels, in JSON."""


class NoSegments(InputError):
    """Refuse to read a log that nobody keeps."""

    code = "input.no_log"

    def __init__(self) -> None:
        super().__init__(
            "logged predictions",
            "none",
            "set serve.log_share above 0, serve, and wait for requests",
        )


def answers(inputs: Mapping[str, Mapping[str, Any]]) -> pa.Schema:
    """Make the schema of answered rows: who answered what, when, and with which inputs.

    Args:
        inputs: A version's inputs by name, in the words of the Open Inference Protocol; the shape
            of an image is kept beside its raw bytes.
    Example:
        >>> made = answers({"x": {"name": "x", "datatype": "FP64", "shape": [-1]}})
        >>> made.names
        ['id', 'version', 'generation', 'at', 'scores', 'inputs']
        >>> made.field("inputs").type
        StructType(struct<x: double>)
    """
    columns = [
        pa.field(name, _TYPES[item["datatype"]], metadata={"shape": str(item["shape"][1:])})
        for name, item in inputs.items()
    ]
    return pa.schema(
        [
            ("id", pa.string()),
            ("version", pa.string()),
            ("generation", pa.int64()),
            ("at", _AT),
            ("scores", pa.list_(pa.float32())),
            pa.field("inputs", pa.struct(columns)),
        ]
    )


class Segment:
    """One segment that is being written.

    Args:
        sink: A new file, which it closes.
        schema: What its rows hold.
        now: When it was begun, in seconds.
    """

    def __init__(self, sink: BinaryIO, schema: pa.Schema, now: float) -> None:
        self.begun, self._sink, self._schema = now, sink, schema
        self._stream = pa.ipc.new_stream(sink, schema)

    @property
    def size(self) -> int:
        """Return the bytes so far."""
        return self._sink.tell()

    def write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Add rows as one batch, and hand it to the system."""
        arrays = [pa.array(columns[field.name], field.type) for field in self._schema]
        self._stream.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._sink.flush()

    def close(self) -> None:
        """End it; what the disk refuses by now is lost with its last batch."""
        with contextlib.suppress(OSError, pa.ArrowException):
            self._stream.close()
        with contextlib.suppress(OSError):
            self._sink.close()


@dataclass(slots=True)
class Found:
    """What a folder of segments holds: tables of answers, labels, how many were cut off."""

    answers: list[pa.Table]
    labels: list[pa.Table]
    torn: int = 0


def read(folder: SafeDir) -> Found:
    """Read all segments, oldest first.

    Raises:
        NoSegments: there are none.
    """
    found = Found([], [])
    names = [name for name in folder.list(FOLDER) if name.endswith(".arrows")]
    if not names:
        raise NoSegments
    for name in names:
        try:
            data = folder.read(f"{FOLDER}/{name}")
        except FileNotFoundError:  # it has made room for a newer one
            continue
        batches, whole = _whole(data)
        found.torn += not whole
        if batches:
            kind = name.removesuffix(".arrows").rpartition("-")[2]
            into = found.labels if kind == LABELS else found.answers
            into.append(pa.Table.from_batches(batches))
    return found


def _whole(data: bytes) -> tuple[list[pa.RecordBatch], bool]:
    """Give the batches that are whole, and tell whether they end as they should."""
    batches: list[pa.RecordBatch] = []
    try:
        for batch in pa.ipc.open_stream(pa.BufferReader(data)):
            batch.validate()
            batches.append(batch)
    except (pa.ArrowException, OSError):
        return batches, False
    return batches, data.endswith(_END)
