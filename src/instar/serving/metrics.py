"""Counts per version and route: requests, failures, latency; as numbers and as Prometheus text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from instar.core.tools import Served, Stretch

Outcome = Literal["ok", "error", "invalid"]

# Bounds grow by a factor of 2 ** 0.25, from 10 microseconds to about a minute: a quantile is
# wrong by at most a fifth.
_FINEST_MS = 0.01
_STEPS = 91
BOUNDS_MS = tuple(_FINEST_MS * 2 ** (step / 4) for step in range(_STEPS))
_KEPT = 64  # routes told apart; older ones are added up under generation 0
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(slots=True)
class Counts:
    """What one version did under one route."""

    share: float
    outcomes: Counter[str] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * _STEPS)
    total_ms: float = 0.0

    @property
    def requests(self) -> int:
        return sum(self.buckets)

    @property
    def failed(self) -> int:
        return self.requests - self.outcomes["ok"]

    def add(self, other: Counts) -> None:
        self.outcomes += other.outcomes
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.total_ms += other.total_ms


class Metrics:
    """Count answers; read by gates, by people and by Prometheus."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[int, Counts]] = {}
        self.missing: dict[str, Counter[str]] = {}
        self.refused = 0
        self.rescued: Counter[str] = Counter()

    def count(
        self, version: str, generation: int, share: float, milliseconds: float, outcome: Outcome
    ) -> None:
        """Count one answer of one version."""
        stretches = self._counts.setdefault(version, {})
        if (counts := stretches.get(generation)) is None:
            counts = stretches[generation] = Counts(share)
            _fold(stretches)
        counts.outcomes[outcome] += 1
        counts.buckets[_bucket(milliseconds)] += 1
        counts.total_ms += milliseconds

    def miss(self, version: str, columns: Iterable[str]) -> None:
        """Count columns that a version reads and a request lacked."""
        self.missing.setdefault(version, Counter()).update(columns)

    def served(self, since_generation: int = 0) -> dict[str, Served]:
        """Add up what each version did since a route; 0 adds up everything."""
        return {
            version: _served(version, chosen)
            for version, stretches in self._counts.items()
            if (chosen := {g: c for g, c in stretches.items() if g >= since_generation})
        }

    def prometheus(self, model: str, gauges: Mapping[str, float]) -> str:
        """Write everything in the text format of Prometheus."""
        return "\n".join([*self._lines(model), *_gauges(model, gauges), ""])

    def _lines(self, model: str) -> Iterator[str]:
        yield "# TYPE instar_requests_total counter"
        totals = {v: _total(stretches.values()) for v, stretches in self._counts.items()}
        for version, counts in totals.items():
            for outcome, n in sorted(counts.outcomes.items()):
                labels = f'model="{model}",version="{version}",outcome="{outcome}"'
                yield f"instar_requests_total{{{labels}}} {n}"
        yield "# TYPE instar_latency_seconds histogram"
        for version, counts in totals.items():
            yield from _histogram(f'model="{model}",version="{version}"', counts)
        yield "# TYPE instar_missing_columns_total counter"
        for version, columns in self.missing.items():
            for column, n in sorted(columns.items()):
                labels = f'model="{model}",version="{version}",column="{_escaped(column)}"'
                yield f"instar_missing_columns_total{{{labels}}} {n}"
        yield "# TYPE instar_rescued_total counter"
        for version, n in self.rescued.items():
            yield f'instar_rescued_total{{model="{model}",version="{version}"}} {n}'
        yield "# TYPE instar_refused_total counter"
        yield f'instar_refused_total{{model="{model}"}} {self.refused}'


def quantile(buckets: list[int], q: float) -> float:
    """Read a quantile off a histogram, in milliseconds, as the bound of its bucket.

    Example:
        >>> quantile([0, 99, 0, 1] + [0] * 87, 0.5) == BOUNDS_MS[1]
        True
    """
    wanted, seen = q * sum(buckets), 0
    for bound, n in zip(BOUNDS_MS, buckets, strict=True):
        seen += n
        if n and seen >= wanted:
            return bound
    return 0.0


def _bucket(milliseconds: float) -> int:
    if milliseconds <= _FINEST_MS:
        return 0
    return min(math.ceil(4 * math.log2(milliseconds / _FINEST_MS)), _STEPS - 1)


def _fold(stretches: dict[int, Counts]) -> None:
    while len(stretches) > _KEPT + 1:
        oldest = min(generation for generation in stretches if generation)
        rest = stretches.setdefault(0, Counts(0.0))
        rest.add(stretches.pop(oldest))


def _total(parts: Iterable[Counts]) -> Counts:
    total = Counts(0.0)
    for part in parts:
        total.add(part)
    return total


def _served(version: str, stretches: Mapping[int, Counts]) -> Served:
    total = _total(stretches.values())
    return Served(
        version=version,
        requests=total.requests,
        errors=total.outcomes["error"],
        invalid=total.outcomes["invalid"],
        latency_ms={name: quantile(total.buckets, q) for name, q in _QUANTILES.items()},
        histogram=tuple((bound, n) for bound, n in zip(BOUNDS_MS, total.buckets, strict=True) if n),
        stretches=tuple(
            Stretch(generation, counts.share, counts.requests, counts.failed)
            for generation, counts in sorted(stretches.items())
        ),
    )


def _histogram(labels: str, counts: Counts) -> Iterator[str]:
    seen = 0
    for step, (bound, n) in enumerate(zip(BOUNDS_MS, counts.buckets, strict=True)):
        seen += n
        if step % 4 == 0:  # every doubling is enough for a graph
            yield f'instar_latency_seconds_bucket{{{labels},le="{bound / 1000:.6g}"}} {seen}'
    yield f'instar_latency_seconds_bucket{{{labels},le="+Inf"}} {seen}'
    yield f"instar_latency_seconds_sum{{{labels}}} {counts.total_ms / 1000:.9g}"
    yield f"instar_latency_seconds_count{{{labels}}} {seen}"


def _gauges(model: str, gauges: Mapping[str, float]) -> Iterator[str]:
    for name, value in gauges.items():
        yield f"# TYPE instar_{name} gauge"
        yield f'instar_{name}{{model="{model}"}} {value:g}'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
