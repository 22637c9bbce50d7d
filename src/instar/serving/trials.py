"""What versions on trial did: how a shadow's answers compare, and which version ended a process.

The memory is laid out as that of `slots`, in a file of its own: a block for each worker, one for
the process that runs shadows, one for the office. Where `slots` counts answers, a slot here counts
comparisons.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from instar.core.tools import Compared
from instar.serving.exposition import family
from instar.serving.metrics import QUANTILES, quantile
from instar.serving.slots import BOUNDS_MS, COUNTS, REST, STEPS, TIMES, Block, Sheet, bucket

NAME = "trials.bin"

# Words of a slot: whole numbers, then two fractions.
_OK, _ERROR, _INVALID, _ROWS = range(COUNTS, COUNTS + 4)
_SAMPLED, _DROPPED, _FLIPS, _CRASHED = range(REST, REST + 4)
_PARTED, _LARGEST, _SUM = range(REST + 4, REST + 7)


def opened(root: Path, workers: int) -> Sheet:
    """Open the memory: a block a worker, then those of the shadows' process and of the office."""
    return Sheet.open(root, workers + 2, NAME, folds=False)


class Trial:
    """Count for one version under one route; see `Compared`."""

    __slots__ = ("_real", "_words", "at")

    def __init__(self, block: Block, version: str, generation: int) -> None:
        self.at = block.place(version, generation, 0.0)
        self._words = block.words(self.at)
        self._real = self._words.cast("B").cast("d")

    def sampled(self) -> None:
        """Count a request that was taken for a shadow."""
        self._words[_SAMPLED] += 1

    def dropped(self, requests: int = 1) -> None:
        """Count requests that no shadow will see."""
        self._words[_DROPPED] += requests

    def failed(self, *, invalid: bool = False) -> None:
        """Count a request that the version could not answer, or not with numbers."""
        self._words[_INVALID if invalid else _ERROR] += 1

    def crashed(self, requests: int) -> None:
        """Count a process that the version ended, and the requests that were lost with it."""
        self._words[_CRASHED] += 1
        self._words[_ERROR] += requests

    def answered(
        self, milliseconds: float, rows: int, flips: int, apart: float, largest: float
    ) -> None:
        """Count one comparison: how many rows, how many of them part, the sum of differences."""
        words, real = self._words, self._real
        words[_OK] += 1
        words[TIMES + bucket(milliseconds)] += 1
        words[_ROWS] += rows
        words[_FLIPS] += flips
        real[_PARTED] += flips / rows
        real[_SUM] += apart
        real[_LARGEST] = max(real[_LARGEST], largest)


@dataclass(slots=True)
class _Sum:
    sampled: int = 0
    dropped: int = 0
    ok: int = 0
    error: int = 0
    invalid: int = 0
    rows: int = 0
    flips: int = 0
    crashed: int = 0
    parted: float = 0.0
    apart: float = 0.0
    largest: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * STEPS)

    def add(self, words: memoryview) -> None:
        self.sampled += words[_SAMPLED]
        self.dropped += words[_DROPPED]
        self.ok += words[_OK]
        self.error += words[_ERROR]
        self.invalid += words[_INVALID]
        self.rows += words[_ROWS]
        self.flips += words[_FLIPS]
        self.crashed += words[_CRASHED]
        parted, largest, apart = struct.unpack("<3d", words[_PARTED : _SUM + 1])
        self.parted += parted
        self.apart += apart
        self.largest = max(self.largest, largest)
        times = words[TIMES : TIMES + STEPS].tolist()
        self.buckets = [a + b for a, b in zip(self.buckets, times, strict=True)]


def read(sheet: Sheet, since_generation: int = 0) -> dict[str, Compared]:
    """Add up what every version on trial did since a route.

    Example:
        >>> sheet = Sheet.anonymous(1, folds=False)
        >>> trial = Trial(sheet.block(0), "model_v2", 7)
        >>> trial.sampled()
        >>> trial.answered(0.5, rows=2, flips=1, apart=0.25, largest=0.2)
        >>> found = read(sheet, 7)["model_v2"]
        >>> found.requests, found.rows, found.flips, found.mean, found.largest
        (1, 2, 1, 0.125, 0.2)
        >>> read(sheet, 8)
        {}
    """
    sums: dict[str, _Sum] = {}
    for block in sheet.blocks:
        for version, generation, words in block.copies():
            if generation >= since_generation:
                sums.setdefault(version, _Sum()).add(words)
    return {version: _told(version, total) for version, total in sums.items()}


def crashes(sheet: Sheet, since_generation: int = 0) -> dict[str, int]:
    """Say how many processes each version ended, or hung, since a route."""
    found = read(sheet, since_generation)
    return {version: told.crashes for version, told in found.items() if told.crashes}


def exposed(model: str, sheet: Sheet) -> Iterator[str]:
    """Write what was compared in the text format of Prometheus."""
    found = read(sheet)
    for name, of in (
        ("shadow_sampled_total", "sampled"),
        ("shadow_dropped_total", "dropped"),
        ("shadow_requests_total", "requests"),
        ("shadow_errors_total", "errors"),
        ("shadow_invalid_total", "invalid"),
        ("shadow_rows_total", "rows"),
        ("shadow_flips_total", "flips"),
        ("shadow_largest_difference", "largest"),
        ("shadow_mean_difference", "mean"),
        ("crashes_total", "crashes"),
    ):
        yield from family(
            f"instar_{name}",
            "counter" if name.endswith("_total") else "gauge",
            (
                ({"model": model, "version": version}, getattr(told, of))
                for version, told in found.items()
            ),
        )


def _told(version: str, total: _Sum) -> Compared:
    return Compared(
        version=version,
        sampled=total.sampled,
        dropped=total.dropped,
        requests=total.ok + total.error + total.invalid,
        errors=total.error,
        invalid=total.invalid,
        rows=total.rows,
        flips=total.flips,
        parted=total.parted,
        largest=total.largest,
        mean=total.apart / total.rows if total.rows else 0.0,
        latency_ms={name: quantile(total.buckets, q) for name, q in QUANTILES.items()},
        histogram=_histogram(total.buckets),
        crashes=total.crashed,
    )


def _histogram(buckets: Iterable[int]) -> tuple[tuple[float, int], ...]:
    return tuple((bound, n) for bound, n in zip(BOUNDS_MS, buckets, strict=True) if n)
