"""A gateway in memory, whose requests come when a test says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from instar.core.errors import BackendError
from instar.core.tools import Compared, Labelled, Route, Served, Stretch

_FAST_MS, _SLOW_MS = 1.0, 1000.0
_BINS = 20


class Silent(BackendError):
    """Play a gateway that does not answer."""

    code = "backend.gateway_silent"
    retryable = True

    def __init__(self) -> None:
        super().__init__("an answer from the gateway", "none", "see that it runs")


class Refused(BackendError):
    """Play a gateway that cannot load what a route names."""

    code = "backend.route_refused"

    def __init__(self, version: str) -> None:
        super().__init__(f"{version} in force", "a broken bundle", "move the traffic back")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a version answers. Shares of requests, and the noise on the true probability.

    `flips` is the share of answers that it gives otherwise in the shadow; `crashes` are processes
    that it ends, `reports` complaints about its answers.
    """

    errors: float = 0.0
    invalid: float = 0.0
    slow: float = 0.0
    noise: float = 0.1
    flips: float = 0.0
    crashes: int = 0
    reports: int = 0
    outside: float = 0.0
    empty: float = 0.0


@dataclass(slots=True)
class _Kept:
    requests: dict[int, int] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)
    shares: dict[int, float] = field(default_factory=dict)
    units: dict[int, int] = field(default_factory=dict)
    slow: dict[int, int] = field(default_factory=dict)
    odd: dict[int, tuple[int, int]] = field(default_factory=dict)
    bins: dict[int, list[int]] = field(default_factory=dict)
    errors: int = 0
    invalid: int = 0
    scores: list[list[float]] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    generations: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)


class FakeTraffic:
    """Serve a binary task by chance: `instar.core.tools.Traffic` for tests of a release.

    Example:
        >>> route = Route("m", 1, {"old": 1.0}, {"old": "sha256:0"}, "old")
        >>> traffic = FakeTraffic(route, {"old": Behaviour()})
        >>> traffic.serve(100)
        >>> traffic.served()["old"].requests, len(traffic.labelled("old").labels)
        (100, 100)
    """

    def __init__(self, route: Route, behave: Mapping[str, Behaviour], seed: int = 0) -> None:
        self.moves: list[Route] = [route]
        self.silent = False
        self.broken: set[str] = set()
        self.age = 0.0
        self._behave = dict(behave)
        self._random = np.random.default_rng(seed)
        self._kept: dict[str, _Kept] = {}
        self._shown: dict[str, Compared] = {}
        self._labels = 0
        self.skew = 0.0  # the part of the candidate's units that get lost on the way

    def route(self) -> Route:
        return self.moves[-1]

    def move(self, route: Route) -> float:
        """Take a route over; a silent gateway has it in its file all the same."""
        self.moves.append(route)
        self._answer()
        for version, share in route.shares.items():
            if share and version in self.broken:
                raise Refused(version)
        self.age = 0.0
        return 0.02

    def age_s(self) -> float:
        self._answer()
        return self.age

    def serve(self, n: int, *, labels: bool = True, seconds: float = 1.0) -> None:
        """Let `n` requests come, and `seconds` pass."""
        route = self.route()
        names = list(route.shares)
        chosen = self._random.choice(len(names), n, p=list(route.shares.values()))
        for place, name in enumerate(names):
            self._serve(name, int((chosen == place).sum()), route, labels=labels)
        for name, part in route.shadow.items():
            self._show(name, int(self._random.binomial(n, part)), route)
        self.age += seconds

    def _show(self, name: str, n: int, route: Route) -> None:
        behave, kept = self._behave[name], self._shown.setdefault(name, Compared(name))
        luck = self._random.random(n)
        errors = int((luck < behave.errors).sum())
        invalid = int((luck < behave.errors + behave.invalid).sum()) - errors
        flips = int((self._random.random(n - errors - invalid) < behave.flips).sum())
        slow = int((self._random.random(n) < behave.slow).sum())
        there = dict(kept.histogram)
        there[_FAST_MS] = there.get(_FAST_MS, 0) + n - slow
        there[_SLOW_MS] = there.get(_SLOW_MS, 0) + slow
        self._shown[name] = replace(
            kept,
            sampled=kept.sampled + n,
            requests=kept.requests + n,
            errors=kept.errors + errors,
            invalid=kept.invalid + invalid,
            rows=kept.rows + n - errors - invalid,
            flips=kept.flips + flips,
            parted=kept.parted + flips,
            histogram=tuple(there.items()),
            crashes=behave.crashes,
        )

    def compared(self, version: str, since_generation: int = 0) -> Compared:
        self._answer()
        return self._shown.get(version, Compared(version))

    def ask(self, name: str, n: int) -> None:
        """Let `n` requests come that name their version; no route gives them to it."""
        pinned = replace(self.route(), generation=0, shares={name: 0.0})
        self._serve(name, n, pinned, labels=False)

    def _serve(self, name: str, n: int, route: Route, *, labels: bool) -> None:
        behave, kept = self._behave[name], self._kept.setdefault(name, _Kept())
        luck = self._random.random(n)
        errors = luck < behave.errors
        invalid = ~errors & (luck < behave.errors + behave.invalid)
        good = int(n - errors.sum() - invalid.sum())
        at = route.generation
        kept.shares[at] = route.shares[name]
        kept.requests[at] = kept.requests.get(at, 0) + n
        kept.failed[at] = kept.failed.get(at, 0) + n - good
        kept.errors += int(errors.sum())
        kept.invalid += int(invalid.sum())
        met = n if name == route.champion else int((self._random.random(n) >= self.skew).sum())
        kept.units[at] = kept.units.get(at, 0) + (met if at else 0)
        late = int((self._random.random(n) < behave.slow).sum())
        kept.slow[at] = kept.slow.get(at, 0) + late
        beyond, blank = kept.odd.get(at, (0, 0))
        beyond += int((self._random.random(n) < behave.outside).sum())
        kept.odd[at] = (beyond, blank + int((self._random.random(n) < behave.empty).sum()))
        truth = self._random.beta(0.5, 0.5, good)
        said = np.clip(truth + self._random.normal(0, behave.noise, good), 0, 1)
        kept.scores += [[1 - p, p] for p in said.tolist()]
        kept.generations += [at] * good
        there = kept.bins.get(at, [0] * _BINS)
        fresh = np.histogram(said, _BINS, (0, 1))[0].tolist()
        kept.bins[at] = [a + b for a, b in zip(there, fresh, strict=True)]
        if labels:
            kept.labels += (self._random.random(good) < truth).astype(float).tolist()
            kept.order += range(self._labels, self._labels + good)
            self._labels += good

    def served(self, since_generation: int = 0) -> Mapping[str, Served]:
        self._answer()
        return {
            name: replace(
                _served(name, kept, [at for at in kept.requests if at >= since_generation]),
                crashes=self._behave[name].crashes,
                reports=self._behave[name].reports,
            )
            for name, kept in self._kept.items()
        }

    def labelled(self, version: str, since_generation: int = 0) -> Labelled:
        self._answer()
        kept = self._kept.get(version, _Kept())
        rows = [i for i in range(len(kept.labels)) if kept.generations[i] >= since_generation]
        return Labelled(
            version=version,
            scores=[kept.scores[i] for i in rows],
            labels=[kept.labels[i] for i in rows],
            generations=[kept.generations[i] for i in rows],
            order=[kept.order[i] for i in rows],
        )

    def scores(self, version: str, since_generation: int = 0) -> Sequence[Sequence[float]]:
        self._answer()
        return self._kept.get(version, _Kept()).scores

    def _answer(self) -> None:
        if self.silent:
            raise Silent


def _served(name: str, kept: _Kept, routes: Sequence[int]) -> Served:
    slow = sum(kept.slow.values())
    return Served(
        version=name,
        requests=sum(kept.requests.values()),
        errors=kept.errors,
        invalid=kept.invalid,
        latency_ms={"p99": _SLOW_MS if slow else _FAST_MS},
        histogram=_bars(sum(kept.requests.values()), slow),
        stretches=tuple(
            Stretch(
                at,
                kept.shares[at],
                kept.requests[at],
                kept.failed[at],
                units=kept.units[at],
                outside=kept.odd[at][0],
                empty=kept.odd[at][1],
                histogram=_bars(kept.requests[at], kept.slow[at]),
                scores=tuple(kept.bins[at]),
            )
            for at in routes
        ),
    )


def _bars(n: int, slow: int) -> tuple[tuple[float, int], ...]:
    return ((_FAST_MS, n - slow), (_SLOW_MS, slow))
