"""What production has said so far, gathered once a tick for all gates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instar.core.policy import ReleasePolicy, StepRule
from instar.core.records import Bundle, ModelVersion, Release
from instar.core.tools import Compared, Labelled, Route, Served, Stretch, Traffic
from instar.stages.release.losses import loss_of, metric_of
from instar.stages.release.strategies.shadow import shadow_of
from instar.stats.two_rates import Pair
from instar.tasks import Form, form_of

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answers:
    """Labelled answers of both versions: parallel columns, in label order.

    `loss` in [0, 1]; `candidate` tells who answered; `share` is the probability with which the
    candidate was to answer.
    """

    loss: Array
    candidate: NDArray[np.bool_]
    share: Array


@dataclass(frozen=True, slots=True)
class Window:
    """The last labelled answers of one version: a metric's value over `n` of them."""

    metric: str
    value: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Together:
    """What both versions did under one share of the traffic, in (0, 1), at the same time."""

    share: float
    champion: Stretch
    candidate: Stretch

    def pair(self, events: Callable[[Stretch], int]) -> Pair:
        """Count something that may happen to a request, on both sides."""
        old, new = self.champion, self.candidate
        return Pair(self.share, old.requests, events(old), new.requests, events(new))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a gate may look at.

    `champion` and `candidate` are counted since the release began, `requests` and `labels` are
    the candidate's in the present step, `idle` says that in this step nobody asked either version.
    `together` holds what both did side by side, share by share; `strays` names versions that were
    given requests while they had no share. `answers` are all that have a label, `windows` the
    last of each version, champion first. While the candidate has no share yet, what it did is what
    it answered to requests that named it. `shadow` is what was compared before the first step,
    where the policy asks for that; as long as it lasts, `candidate` is what it did there.
    """

    step: StepRule
    age_s: float
    requests: int
    labels: int
    idle: bool
    champion: Served
    candidate: Served
    together: tuple[Together, ...]
    strays: tuple[str, ...]
    quality: str
    answers: Answers
    windows: tuple[Window, Window]
    champion_scores: Array
    candidate_scores: Array
    shadow: Compared | None = None


def gather(
    traffic: Traffic,
    route: Route,
    champion: ModelVersion,
    candidate: Bundle,
    last: Release,
    step: StepRule,
    policy: ReleasePolicy,
) -> Evidence:
    """Ask the gateway for everything since the release began."""
    form, served = form_of(champion.task), traffic.served(last.generation)
    # In a preview nobody is routed to it: its answers are those to requests that named it.
    named = served if step.share else traffic.served()
    ours = named.get(candidate.version) or _nothing(candidate.version)
    theirs = served.get(champion.name) or _nothing(champion.name)
    labelled = [traffic.labelled(name, last.generation) for name in (ours.version, theirs.version)]
    name, loss, span = loss_of(policy.quality, champion)
    losses = [
        loss(_matrix(part), np.asarray(part.labels, float), span) if len(part.labels) else _EMPTY
        for part in labelled
    ]
    here, there = (
        sum(s.requests for s in side.stretches if s.generation >= route.generation)
        for side in (ours, theirs)
    )
    here = here if step.share else ours.requests
    shadow = traffic.compared(ours.version, last.generation) if shadow_of(policy) else None
    if shadow and last.step == 0:
        ours, here = _in_shadow(shadow), shadow.requests
    return Evidence(
        step=step,
        age_s=traffic.age_s(),
        requests=here,
        idle=not here + there,
        labels=sum(generation >= route.generation for generation in labelled[0].generations),
        champion=theirs,
        candidate=ours,
        together=_together(theirs, ours),
        strays=tuple(_strays(theirs, ours, last.generation)),
        quality=name,
        answers=_merge(labelled, losses, _shares(theirs, ours)),
        windows=(
            _window(policy, champion, labelled[1]),
            _window(policy, champion, labelled[0]),
        ),
        champion_scores=_one(form, traffic.scores(theirs.version, last.generation)),
        candidate_scores=_one(form, traffic.scores(ours.version, last.generation)),
        shadow=shadow,
    )


_EMPTY: Array = np.zeros(0)


def _in_shadow(shadow: Compared) -> Served:
    return Served(
        shadow.version,
        shadow.requests,
        shadow.errors,
        shadow.invalid,
        shadow.latency_ms,
        shadow.histogram,
        crashes=shadow.crashes,
    )


def _nothing(version: str) -> Served:
    return Served(version, 0, 0, 0, {})


def _matrix(part: Labelled) -> Array:
    return np.asarray(part.scores, float).reshape(len(part.labels), -1)


def _shares(champion: Served, candidate: Served) -> dict[int, float]:
    """Find the candidate's share under each route; two versions share, so one tells both."""
    theirs = {s.generation: 1 - s.share for s in champion.stretches}
    return theirs | {s.generation: s.share for s in candidate.stretches}


def _together(champion: Served, candidate: Served) -> tuple[Together, ...]:
    theirs = {s.generation: s for s in champion.stretches}
    ours = {s.generation: s for s in candidate.stretches}
    return tuple(
        Together(
            share,
            theirs.get(generation) or Stretch(generation, 1 - share, 0, 0),
            ours.get(generation) or Stretch(generation, share, 0, 0),
        )
        for generation, share in _shares(champion, candidate).items()
        if 0 < share < 1
    )


def _strays(champion: Served, candidate: Served, since: int) -> Iterator[str]:
    """Name versions that a route gave nothing and that were asked all the same."""
    for side in (champion, candidate):
        lost = [s for s in side.stretches if s.generation >= max(since, 1) and not s.share]
        if any(s.requests or s.units for s in lost):
            yield side.version


def _window(policy: ReleasePolicy, champion: ModelVersion, part: Labelled) -> Window:
    """Measure the last labelled answers of a version by a metric; None where there is no value.

    What is kept of an answer is not always what its metric asks for: a mask's is not.
    """
    form, metric = form_of(champion.task), metric_of(policy.window_metric, champion)
    n = min(len(part.labels), policy.window)
    if metric is None or not n:
        return Window(metric.name if metric else "", None, n)
    labels = form.typed(np.asarray(part.labels[-n:], float))
    value = metric(np.asarray(part.scores[-n:], float).reshape(n, -1), labels)
    return Window(metric.name, value if math.isfinite(value) else None, n)


def _merge(labelled: list[Labelled], losses: list[Array], shares: dict[int, float]) -> Answers:
    order = np.argsort(np.concatenate([part.order for part in labelled]), kind="stable")
    ours = np.repeat([True, False], [len(part.labels) for part in labelled])
    generations = [*labelled[0].generations, *labelled[1].generations]
    share = np.array([shares.get(generation, 0.0) for generation in generations])
    return Answers(np.concatenate(losses)[order], ours[order], share[order])


def _one(form: Form, scores: object) -> Array:
    """Reduce each answer to one number: the last class's probability, or the value."""
    table = np.asarray(scores, float)
    return np.asarray(form.single(table)) if table.ndim == 2 else _EMPTY
