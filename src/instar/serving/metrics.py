"""Counts per version and route: requests, failures, latency; as numbers and as Prometheus text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from instar.core.tools import Served, Stretch
from instar.serving.exposition import escaped, helped
from instar.serving.slots import BOUNDS_MS, OUTCOMES, Counts, Sheet

Outcome = Literal["ok", "error", "invalid"]

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Metrics:
    """Read what the workers counted, for gates, people and Prometheus.

    Args:
        sheet: The memory that they count in; by default one of its own.
    """

    def __init__(self, sheet: Sheet | None = None) -> None:
        self._sheet = sheet or Sheet.anonymous(1)
        self.missing: dict[str, Counter[str]] = {}
        self.rescued: Counter[str] = Counter()
        self.cached: Counter[str] = Counter()
        self.refused = 0

    def count(
        self, version: str, generation: int, share: float, milliseconds: float, outcome: Outcome
    ) -> None:
        """Count one answer of one version."""
        tally = self._sheet.block(0).tally(version, generation, share)
        tally.count(milliseconds, OUTCOMES.index(outcome))

    def miss(self, version: str, columns: Mapping[str, int]) -> None:
        """Count columns that a version reads and a request lacked."""
        self.missing.setdefault(version, Counter()).update(columns)

    def served(self, since_generation: int = 0) -> dict[str, Served]:
        """Add up what each version did since a route; 0 adds up everything."""
        return {
            version: _served(version, chosen)
            for version, stretches in self._counted().items()
            if (chosen := {g: c for g, c in stretches.items() if g >= since_generation})
        }

    def totals(self) -> dict[str, Counts]:
        """Add up what each version did."""
        return {v: _total(stretches.values()) for v, stretches in self._counted().items()}

    def _counted(self) -> dict[str, dict[int, Counts]]:
        """Leave out what was never asked anything: its slot was made with the route."""
        return {
            version: counted
            for version, stretches in self._sheet.read().items()
            if (counted := {g: c for g, c in stretches.items() if c.requests})
        }

    def prometheus(self, model: str, gauges: Mapping[str, float], more: Iterable[str] = ()) -> str:
        """Write everything in the text format of Prometheus, `more` lines of others too."""
        lines = [*self._lines(model), *_gauges(model, gauges), *more]
        return "\n".join([*helped(lines), ""])

    def _lines(self, model: str) -> Iterator[str]:
        totals = self.totals()
        yield "# TYPE instar_requests_total counter"
        for version, counts in totals.items():
            # The zeros too: of a series that begins with its first error, no rate sees that one.
            for outcome, n in sorted(zip(OUTCOMES, counts.outcomes, strict=True)):
                labels = f'model="{model}",version="{version}",outcome="{outcome}"'
                yield f"instar_requests_total{{{labels}}} {n}"
        yield "# TYPE instar_latency_seconds histogram"
        for version, counts in totals.items():
            yield from _histogram(f'model="{model}",version="{version}"', counts)
        yield "# TYPE instar_scores histogram"
        for version, counts in totals.items():
            yield from _scores(f'model="{model}",version="{version}"', counts)
        for name in ("rows", "runs"):
            yield f"# TYPE instar_{name}_total counter"
            for version, counts in totals.items():
                labels = f'model="{model}",version="{version}"'
                yield f"instar_{name}_total{{{labels}}} {getattr(counts, name)}"
        yield "# TYPE instar_missing_columns_total counter"
        for version, columns in self.missing.items():
            for column, n in sorted(columns.items()):
                labels = f'model="{model}",version="{version}",column="{escaped(column)}"'
                yield f"instar_missing_columns_total{{{labels}}} {n}"
        yield "# TYPE instar_rescued_total counter"
        for version in totals:
            labels = f'model="{model}",version="{version}"'
            yield f"instar_rescued_total{{{labels}}} {self.rescued[version]}"
        yield "# TYPE instar_cache_total counter"
        for outcome, n in sorted(self.cached.items()):
            yield f'instar_cache_total{{model="{model}",outcome="{outcome}"}} {n}'
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
        errors=total.outcomes[OUTCOMES.index("error")],
        invalid=total.outcomes[OUTCOMES.index("invalid")],
        latency_ms={name: quantile(total.buckets, q) for name, q in QUANTILES.items()},
        histogram=_bars(total),
        stretches=tuple(
            Stretch(
                generation,
                counts.share,
                counts.requests,
                counts.failed,
                units=counts.units,
                outside=counts.outside,
                empty=counts.empty,
                histogram=_bars(counts),
                scores=tuple(counts.scores),
            )
            for generation, counts in sorted(stretches.items())
        ),
    )


def _bars(counts: Counts) -> tuple[tuple[float, int], ...]:
    return tuple((bound, n) for bound, n in zip(BOUNDS_MS, counts.buckets, strict=True) if n)


def _histogram(labels: str, counts: Counts) -> Iterator[str]:
    seen = 0
    for step, (bound, n) in enumerate(zip(BOUNDS_MS, counts.buckets, strict=True)):
        seen += n
        if step % 4 == 0:  # every doubling is enough for a graph
            yield f'instar_latency_seconds_bucket{{{labels},le="{bound / 1000:.6g}"}} {seen}'
    yield f'instar_latency_seconds_bucket{{{labels},le="+Inf"}} {seen}'
    yield f"instar_latency_seconds_sum{{{labels}}} {counts.total_ms / 1000:.9g}"
    yield f"instar_latency_seconds_count{{{labels}}} {seen}"


def _scores(labels: str, counts: Counts) -> Iterator[str]:
    seen, total, bins = 0, 0.0, len(counts.scores)
    for step, n in enumerate(counts.scores, 1):
        seen += n
        total += n * (step - 0.5) / bins
        yield f'instar_scores_bucket{{{labels},le="{step / bins:g}"}} {seen}'
    yield f'instar_scores_bucket{{{labels},le="+Inf"}} {seen}'
    yield f"instar_scores_sum{{{labels}}} {total:.9g}"
    yield f"instar_scores_count{{{labels}}} {seen}"


def _gauges(model: str, gauges: Mapping[str, float]) -> Iterator[str]:
    for name, value in gauges.items():
        yield f"# TYPE instar_{name} gauge"
        yield f'instar_{name}{{model="{model}"}} {value:.15g}'
