"""What production has said so far, gathered once a tick for all gates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instar.core.policy import ReleasePolicy, StepRule
from instar.core.records import Bundle, ModelVersion, Release
from instar.core.tools import Compared, Labelled, Route, Served, Traffic
from instar.stages.release.losses import loss_of
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
class Evidence:
    """Everything a gate may look at.

    `champion` and `candidate` are counted since the release began, `requests` and `labels` are
    the candidate's in the present step. `pairs` hold both versions' failures, a pair a share.
    `shadow` is what was compared before the first step, where the policy asks for that; as long as
    it lasts, `candidate` is what the candidate did there.
    """

    step: StepRule
    age_s: float
    requests: int
    labels: int
    champion: Served
    candidate: Served
    pairs: tuple[Pair, ...]
    quality: str
    answers: Answers
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
    ours = served.get(candidate.version) or _nothing(candidate.version)
    theirs = served.get(champion.name) or _nothing(champion.name)
    labelled = [traffic.labelled(name, last.generation) for name in (ours.version, theirs.version)]
    name, loss, span = loss_of(policy.quality, champion)
    losses = [
        loss(_matrix(part), np.asarray(part.labels, float), span) if len(part.labels) else _EMPTY
        for part in labelled
    ]
    here = sum(s.requests for s in ours.stretches if s.generation >= route.generation)
    shadow = traffic.compared(ours.version, last.generation) if shadow_of(policy) else None
    if shadow and last.step == 0:
        ours, here = _in_shadow(shadow), shadow.requests
    return Evidence(
        step=step,
        age_s=traffic.age_s(),
        requests=here,
        labels=sum(generation >= route.generation for generation in labelled[0].generations),
        champion=theirs,
        candidate=ours,
        pairs=_pairs(theirs, ours),
        quality=name,
        answers=_merge(labelled, losses, _shares(theirs, ours)),
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


def _pairs(champion: Served, candidate: Served) -> tuple[Pair, ...]:
    shares = _shares(champion, candidate)
    theirs = {s.generation: s for s in champion.stretches}
    ours = {s.generation: s for s in candidate.stretches}
    pairs = []
    for generation, share in shares.items():
        if 0 < share < 1:
            old, new = theirs.get(generation), ours.get(generation)
            pairs.append(
                Pair(
                    share=share,
                    champion=old.requests if old else 0,
                    champion_events=old.failed if old else 0,
                    candidate=new.requests if new else 0,
                    candidate_events=new.failed if new else 0,
                )
            )
    return tuple(pairs)


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
