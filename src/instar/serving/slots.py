"""Counters in memory that all processes of a gateway share: one writer a block, any reader.

A block belongs to one worker. It holds one slot for each version and route: counts by outcome,
latency and score histograms. A count is one addition to a word, so no lock is taken; only while
slots are put together is a number odd that readers wait for. The memory is a file in `serve/`,
which outlives the processes, and anybody may read it without asking a worker.
"""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from instar.core.errors import InstarError
from instar.ledger.safedir import SafeDir

NAME = "counts.bin"
OUTCOMES = ("ok", "error", "invalid")

# Bounds grow by a factor of 2 ** 0.25, from 10 microseconds to about a minute: a quantile is
# wrong by at most a fifth.
_FINEST_MS = 0.01
STEPS = 91
BOUNDS_MS = tuple(_FINEST_MS * 2 ** (step / 4) for step in range(STEPS))
BINS = 20  # of the score histogram, over 0 to 1
KEPT = 64  # routes told apart; older ones are added up under generation 0

# Words of 8 bytes. The memory begins with one page, each block with 8 words.
_MAGIC = int.from_bytes(b"INSTAR03", "little")
_PAGE = 512
_BLOCK_HEAD = 8
_TURN, _GENERATION, _PID, _TICK, _LOADING = range(5)
_RUNNING = (5, 6)  # the loop's run and a thread's: the slot, and how many requests
_SLOTS = 128
_SLOT = 132
_USED, _ROUTE, _SHARE, _OK, _, _, _ROWS, _RUNS, _NS, _UNITS, _OUTSIDE, _EMPTY = range(12)
_VERSION, _VERSION_WORDS = 12, 8
_LATENCY = _VERSION + _VERSION_WORDS
_SCORES = _LATENCY + STEPS
_BLOCK = _BLOCK_HEAD + _SLOTS * _SLOT
# Where a slot's counts, its latencies and its last words begin: for others that lay it out.
COUNTS, TIMES, REST = _OK, _LATENCY, _SCORES
_LOOKS = 1000  # at a block that is being put together


@dataclass(slots=True)
class Counts:
    """What one version did under one route."""

    share: float
    outcomes: list[int] = field(default_factory=lambda: [0] * len(OUTCOMES))
    buckets: list[int] = field(default_factory=lambda: [0] * STEPS)
    scores: list[int] = field(default_factory=lambda: [0] * BINS)
    total_ms: float = 0.0
    rows: int = 0
    runs: int = 0
    units: int = 0
    outside: int = 0
    empty: int = 0

    @property
    def requests(self) -> int:
        return sum(self.buckets)

    @property
    def failed(self) -> int:
        return self.requests - self.outcomes[0]

    def add(self, other: Counts) -> None:
        for mine, theirs in (
            (self.outcomes, other.outcomes),
            (self.buckets, other.buckets),
            (self.scores, other.scores),
        ):
            mine[:] = [a + b for a, b in zip(mine, theirs, strict=True)]
        self.total_ms += other.total_ms
        self.rows += other.rows
        self.runs += other.runs
        self.units += other.units
        self.outside += other.outside
        self.empty += other.empty


Stretches = dict[str, dict[int, Counts]]


class Tally:
    """Count for one version under one route."""

    __slots__ = ("_at", "_words")

    def __init__(self, words: memoryview, at: int) -> None:
        self._words, self._at = words, at

    @property
    def at(self) -> int:
        """Say where its slot begins in the block."""
        return self._at

    def count(self, milliseconds: float, outcome: int = 0, rows: int = 0) -> None:
        """Count one answer; `outcome` is a place in `OUTCOMES`."""
        words, at = self._words, self._at
        words[at + _OK + outcome] += 1
        words[at + _LATENCY + bucket(milliseconds)] += 1
        words[at + _NS] += int(1e6 * milliseconds)
        words[at + _ROWS] += rows

    def answered(self, times: Sequence[float], values: Sequence[float]) -> None:
        """Count good answers of one row each, by their milliseconds and scores.

        A run's answers are counted together, as a word of shared memory costs more than a sum.
        """
        words, at = self._words, self._at
        words[at + _OK] += len(times)
        words[at + _ROWS] += len(times)
        words[at + _NS] += int(1e6 * sum(times))
        for milliseconds in times:
            words[at + _LATENCY + bucket(milliseconds)] += 1
        for value in values:
            words[at + _SCORES + (int(BINS * value) if value < 1 else BINS - 1)] += 1

    def score(self, value: float) -> None:
        """Count a score from 0 to 1."""
        self._words[self._at + _SCORES + (int(BINS * value) if value < 1 else BINS - 1)] += 1

    def met(self) -> None:
        """Count a unit that was given to this version, and was not seen under this route before."""
        self._words[self._at + _UNITS] += 1

    def odd(self, outside: bool, empty: bool) -> None:  # noqa: FBT001 - two words of a slot
        """Count a good answer that is odd: beyond the target's range, or with nothing in it."""
        self._words[self._at + _OUTSIDE] += outside
        self._words[self._at + _EMPTY] += empty

    def ran(self) -> None:
        """Count a run of the model, whatever the number of requests in it."""
        self._words[self._at + _RUNS] += 1


def bucket(milliseconds: float) -> int:
    """Find the place of a latency in `BOUNDS_MS`; the last one takes what is longer."""
    return bisect_left(BOUNDS_MS, milliseconds, 0, STEPS - 1)


class Sheet:
    """The memory of one gateway. With `folds` off, old routes are dropped instead of added up.

    Example:
        >>> sheet = Sheet.anonymous(2)
        >>> sheet.block(1).tally("model_v1", 3, 0.5).count(0.5)
        >>> sheet.read()["model_v1"][3].requests
        1
    """

    def __init__(self, memory: mmap.mmap, *, folds: bool = True) -> None:
        self._words, self._folds = memoryview(memory).cast("Q"), folds

    @classmethod
    def anonymous(cls, workers: int, *, folds: bool = True) -> Sheet:
        """Make memory that is shared with processes forked from here, and with nobody else."""
        memory = mmap.mmap(-1, _size(workers))
        sheet = cls(memory, folds=folds)
        sheet._words[0] = _MAGIC
        return sheet

    @classmethod
    def open(cls, root: Path, workers: int, name: str = NAME, *, folds: bool = True) -> Sheet:
        """Open the gateway's file, with the counts that it holds, or make it.

        Where the disk has no room for it, the memory is anonymous: that costs the counts of the
        time before a restart, never an answer.
        """
        try:
            memory = SafeDir(root / "serve").shared(name, _size(workers))
        except InstarError:
            return cls.anonymous(workers, folds=folds)
        sheet = cls(memory, folds=folds)
        if sheet._words[0] != _MAGIC:
            memory[:] = bytes(len(memory))
            sheet._words[0] = _MAGIC
        return sheet

    def block(self, worker: int) -> Block:
        """Give the block that one worker writes."""
        begin = _PAGE + worker * _BLOCK
        return Block(self._words[begin : begin + _BLOCK], folds=self._folds)

    @property
    def blocks(self) -> list[Block]:
        """List all blocks, those of workers that there are no more among them."""
        return [self.block(n) for n in range((len(self._words) - _PAGE) // _BLOCK)]

    def read(self) -> Stretches:
        """Add up what all workers counted, by version and route."""
        found: Stretches = {}
        for block in self.blocks:
            for version, generation, counts in block.read():
                there = found.setdefault(version, {})
                if generation in there:
                    there[generation].add(counts)
                else:
                    there[generation] = counts
        return found


class Block:
    """The part of the memory that one worker writes."""

    def __init__(self, words: memoryview, *, folds: bool = True) -> None:
        self._words, self._folds = words, folds

    @property
    def generation(self) -> int:
        """Say which route this worker has in force."""
        return int(self._words[_GENERATION])

    def acknowledge(self, generation: int, pid: int) -> None:
        """Say that a route is in force here."""
        self._words[_GENERATION], self._words[_PID] = generation, pid

    def recover(self) -> None:
        """Make good what a worker left that was killed while it put slots together."""
        self._words[_TURN] += self._words[_TURN] & 1

    # --- signs of life ------------------------------------------------------------------------

    def tick(self) -> None:
        """Show that the loop turns and no run of a model is stuck."""
        self._words[_TICK] += 1

    @property
    def ticks(self) -> int:
        return int(self._words[_TICK])

    @property
    def loading(self) -> bool:
        """Tell whether it says that it is loading, which may take longer."""
        return bool(self._words[_LOADING])

    @loading.setter
    def loading(self, value: bool) -> None:
        self._words[_LOADING] = value

    def enter(self, at: int, requests: int, lane: int = 0) -> None:
        """Note whose slot's version runs: should the process end in it, it is to blame.

        `lane` is 0 on the loop, 1 in a thread.
        """
        self._words[_RUNNING[lane]] = at << 32 | requests

    def leave(self, lane: int = 0) -> None:
        """Note that the run is over."""
        self._words[_RUNNING[lane]] = 0

    def bury(self) -> list[tuple[str, int]]:
        """Tell in which versions a process has ended, and how many requests were lost with it."""
        found = []
        for word in _RUNNING:
            at, requests = self._words[word] >> 32, self._words[word] & 0xFFFFFFFF
            self._words[word] = 0
            if at:
                found.append((_name(self._words, at), int(requests)))
        self._words[_LOADING] = True  # so is whoever takes the post over
        return found

    # --- slots --------------------------------------------------------------------------------

    def tally(self, version: str, generation: int, share: float) -> Tally:
        """Find or make the slot of a version under a route."""
        return Tally(self._words, self.place(version, generation, share))

    def words(self, at: int) -> memoryview:
        """Give the words of one slot."""
        return self._words[at : at + _SLOT]

    def place(self, version: str, generation: int, share: float) -> int:
        """Find or make the slot of a version under a route; return where it begins."""
        words = self._words
        for at in _places():
            mine = words[at + _USED] and words[at + _ROUTE] == generation
            if mine and _name(words, at) == version:
                return at
        self._make_room(version)
        at = next(at for at in _places() if not words[at + _USED])
        words[at : at + _SLOT] = memoryview(bytes(8 * _SLOT)).cast("Q")
        words[at + _ROUTE] = generation
        words[at + _SHARE] = _bits(share)
        text = version.encode()[: 8 * _VERSION_WORDS].ljust(8 * _VERSION_WORDS, b"\0")
        words[at + _VERSION : at + _LATENCY] = memoryview(text).cast("Q")
        words[at + _USED] = 1  # last: from here on it counts
        return at

    def read(self) -> Iterator[tuple[str, int, Counts]]:
        """Give what was counted, as it stood at one moment."""
        for name, generation, words in self.copies():
            yield name, generation, _counts(words, 0)

    def copies(self) -> Iterator[tuple[str, int, memoryview]]:
        """Give the words of each slot, as they stood at one moment, by version and route."""
        for _ in range(_LOOKS):
            before = self._words[_TURN]
            copy = memoryview(bytes(self._words)).cast("Q")
            if before % 2 == 0 and self._words[_TURN] == before:
                break
        for at in _places():
            if copy[at + _USED]:
                yield _name(copy, at), copy[at + _ROUTE], copy[at : at + _SLOT]

    def _used(self) -> list[tuple[int, str, int]]:
        words = memoryview(bytes(self._words)).cast("Q")  # a copy is quicker to read
        return [(at, _name(words, at), words[at + _ROUTE]) for at in _places() if words[at + _USED]]

    def _make_room(self, version: str) -> None:
        """Add the oldest routes of a version up under generation 0; drop the longest unused."""
        used = self._used()
        mine = sorted((g, at) for at, name, g in used if name == version and g)
        if len(mine) >= KEPT:
            self._fold(version, [at for _, at in mine[: len(mine) - KEPT + 1]], used)
            used = self._used()
        while len(used) >= _SLOTS - 1:
            latest: dict[str, int] = {}
            for _, name, generation in used:
                latest[name] = max(generation, latest.get(name, 0))
            oldest = min(latest, key=lambda name: (name == version, latest[name]))
            theirs = [at for at, name, g in used if name == oldest and g]
            if theirs:
                self._fold(oldest, theirs, used)
            else:
                self._words[next(at for at, name, _ in used if name == oldest) + _USED] = 0
            used = self._used()

    def _fold(self, version: str, places: list[int], used: list[tuple[int, str, int]]) -> None:
        words = self._words
        if not self._folds:
            for at in places:
                words[at + _USED] = 0
            return
        home = next((at for at, name, g in used if name == version and g == 0), None)
        words[_TURN] += 1
        if home is None:
            home, *places = places
            words[home + _ROUTE], words[home + _SHARE] = 0, _bits(0.0)
        for at in places:
            for word in (*range(_OK, _VERSION), *range(_LATENCY, _SLOT)):
                words[home + word] += words[at + word]
            words[at + _USED] = 0
        words[_TURN] += 1


def _size(workers: int) -> int:
    return 8 * (_PAGE + workers * _BLOCK)


def _places() -> range:
    return range(_BLOCK_HEAD, _BLOCK, _SLOT)


def _bits(share: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", share))[0])


def _name(words: memoryview, at: int) -> str:
    text = bytes(words[at + _VERSION : at + _LATENCY])
    return text.rstrip(b"\0").decode(errors="replace")


def _counts(words: memoryview, at: int) -> Counts:
    (share,) = struct.unpack("<d", struct.pack("<Q", words[at + _SHARE]))
    return Counts(
        share,
        words[at + _OK : at + _OK + len(OUTCOMES)].tolist(),
        words[at + _LATENCY : at + _LATENCY + STEPS].tolist(),
        words[at + _SCORES : at + _SCORES + BINS].tolist(),
        words[at + _NS] / 1e6,
        words[at + _ROWS],
        words[at + _RUNS],
        words[at + _UNITS],
        words[at + _OUTSIDE],
        words[at + _EMPTY],
    )
