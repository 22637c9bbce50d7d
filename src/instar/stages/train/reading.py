"""Read the rows of a training: all at once, or, where they do not fit into memory, some of them.

Where they do not fit, whatever needs rows at once is given a uniform draw of as many as there is
memory for, and gradient steps read all of them from their files; see `stream`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from instar.core.codec import encode
from instar.core.data import Preprocessing, Snapshot, Task
from instar.core.digest import digest_json
from instar.core.finding import Finding, Verdict
from instar.core.policy import TrainPolicy
from instar.core.tools import Artifacts, Tools
from instar.data import snapshot
from instar.data.split import sample
from instar.models.strategies import Route
from instar.stages.train import rows, stream
from instar.stages.train.devices.cpu import Cpu
from instar.stages.train.rows import Rows
from instar.stages.train.stream import Stream

NAME = "allowed.json"
CODE = "stream"
_SHARE = 8  # a draw of rows may take an eighth of the allowed memory: there are about four of them


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are read: all of them, or `cap` of each kind, where not all fit at once.

    `size` is that of all rows to learn, in bytes of memory, and `allowed` what they may take.
    """

    artifacts: Artifacts
    seed: int
    size: int
    allowed: int
    cap: int | None = None

    def table(self, *snapshots: Snapshot) -> pl.DataFrame:
        """Read snapshots below each other, or a draw of their rows."""
        if self.cap is None:
            return snapshot.load_all(snapshots, self.artifacts)
        return snapshot.draw(snapshots, self.artifacts, self.cap, self.seed)

    def most(self, rows: int) -> int:
        """Say how many out of so many rows may be held."""
        return rows if self.cap is None else min(rows, self.cap)

    def drawn(self, snapshots: Sequence[Snapshot], wanted: int, held: pl.DataFrame) -> pl.DataFrame:
        """Draw rows that are not held back."""
        if self.cap is None:
            return sample(without(self.table(*snapshots), held), wanted, self.seed)
        wanted = self.most(wanted)
        more = snapshot.draw(snapshots, self.artifacts, wanted + held.height, self.seed)
        return sample(without(more, held), wanted, self.seed)

    def stream(
        self,
        snapshots: Sequence[Snapshot],
        held: pl.DataFrame,
        how: Preprocessing,
        task: Task,
    ) -> Stream:
        """Make what reads all rows but those held back, piece by piece."""
        files = [(self.artifacts.path(one.digest), one.rows) for one in snapshots]
        size = stream.piece_rows(self.allowed, how, task)

        def left(frame: pl.DataFrame) -> int:
            return without(frame, held).height

        def read(piece: stream.Piece) -> Rows:
            frame = snapshot.part(piece.file, piece.start, piece.length)
            return rows.of(without(frame, held), how, task)

        cut = stream.pieces(files, size, None if held.is_empty() else left)
        return stream.stream(cut, size, read)


def plan(
    snapshots: Sequence[Snapshot],
    how: Preprocessing,
    task: Task,
    route: Route,
    policy: TrainPolicy,
    tools: Tools,
) -> Reading:
    """Decide whether all rows of the snapshots fit into memory at once.

    Args:
        how: The champion's preprocessing; columns that came new count for little.
    """
    count = sum(one.rows for one in snapshots)
    size, most = stream.held_bytes(count, how, task), _allowed(snapshots, tools)
    streams = policy.stream == "always" or (policy.stream == "auto" and size > most)
    # One step over all rows needs all of them at once.
    streams = streams and not (route.fit == "steps" and route.recipe.batch == 0)
    each = stream.held_bytes(1, how, task)
    cap = max(1_000, most // (_SHARE * each)) if streams else None
    return Reading(tools.artifacts, tools.seed, size, most, cap)


def _allowed(snapshots: Sequence[Snapshot], tools: Tools) -> int:
    """Say how many bytes rows may take; what was free when the stage began counts to its end."""
    if tools.machine.memory_bytes is not None:
        return tools.machine.memory_bytes
    key = digest_json([encode(tools.machine), [one.digest for one in snapshots]])
    folder = tools.folder(tools.scratch)
    try:
        kept = json.loads(folder.read(NAME))
        if kept["key"] == key:
            return int(kept["allowed"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # nothing sound stands there yet
    most = Cpu(tools.machine).allowed()
    folder.keep(NAME, [json.dumps({"key": key, "allowed": most}).encode()])
    return most


def without(frame: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Leave out the rows that are held back: what is chosen on must not be learnt from."""
    if held.is_empty():
        return frame
    types = frame.schema  # made anew whenever it is asked for
    same = held.cast({name: types[name] for name in held.columns})
    return frame.join(same, on=held.columns, how="anti", nulls_equal=True, maintain_order="left")


def told(reading: Reading, made: Stream | None, learn: int) -> list[Finding]:
    """Say that not all rows were held at once, where it was so."""
    if reading.cap is None:
        return []
    mb = 1e6
    message = (
        f"the rows take {reading.size / mb:,.1f} MB of memory at once, "
        f"{reading.allowed / mb:,.1f} MB are allowed: "
    )
    message += (
        f"{made.fresh:,} were read from their files in each epoch, {made.window:,} shuffled "
        f"together, and {learn:,} drawn ones stand for them where rows are needed at once"
        if made is not None
        else f"{learn:,} drawn ones stand for them"
    )
    return [
        Finding(
            CODE,
            Verdict.PASS,
            message,
            measured=reading.size / mb,
            limit=reading.allowed / mb,
            unit="MB",
            n=made.fresh if made is not None else learn,
            enforced=False,
        )
    ]
