"""Ensembles: several trainings that become one candidate, by a kind of `train.ensemble`.

Members are trained one after the other, each by the same machinery as a single candidate. One
that has ended is kept on disk: a training that is cut off goes on with the member under way, and
ends in the same weights. To add a kind, copy `bagging.py`, add a line here, and its name in
`core.policy.EnsembleRule`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import partial

import torch

from instar.core.family import Family
from instar.core.finding import Finding, Verdict
from instar.core.policy import TrainPolicy
from instar.core.records import Ensemble, Epoch, Network
from instar.models import build
from instar.models.ensemble import joined
from instar.models.strategies import Route
from instar.models.weights import State
from instar.stages.train import kept
from instar.stages.train.attempt import Attempt, Ended, Given, end, ready
from instar.stages.train.ensembles.bagging import bagging
from instar.stages.train.ensembles.boosting import boosting
from instar.stages.train.ensembles.greedy_soup import greedy_soup
from instar.stages.train.ensembles.hard_vote import hard_vote
from instar.stages.train.ensembles.kind import Joined, Kind, Team
from instar.stages.train.ensembles.soft_vote import soft_vote
from instar.stages.train.ensembles.stacking import stacking
from instar.stages.train.ensembles.uniform_soup import uniform_soup
from instar.stages.train.run import Run
from instar.stages.train.tuning.judge import judge

ENSEMBLES: Family[Kind] = Family(
    "ensemble",
    {
        "bagging": bagging,
        "boosting": boosting,
        "stacking": stacking,
        "soft_vote": soft_vote,
        "hard_vote": hard_vote,
        "uniform_soup": uniform_soup,
        "greedy_soup": greedy_soup,
    },
)

CODE = "ensemble"
_UNIT = "loss, in the champion's"


@dataclass(frozen=True, slots=True)
class Made:
    """One candidate out of several trainings, in the place of a single one.

    `ended.run` is the course of the member with the largest validation loss, since the others did
    better, but for its steps and passes, which are those of all. `network` is what came of it.
    """

    attempt: Attempt
    ended: Ended
    network: Network
    finding: Finding


def unfit(given: Given, route: Route, policy: TrainPolicy, strategy: str) -> Finding | None:
    """Say why there is one training only, where the policy asks for several; None: nothing is."""
    kind, remedy = ENSEMBLES[policy.ensemble.kind], ""
    if route.fit != "steps":
        why, remedy = f"{strategy} comes to the same from any seed", "another plan.strategy"
    elif not kind.combine and route.start == "anew":
        why = f"{strategy} starts from new weights, and only weights from one start average"
        remedy = "a strategy that goes on from the champion"
    elif kind.combine and given.request.network.ensemble:
        spec = given.request.network.ensemble
        why = f"the champion is an ensemble of {spec.members} already, and went on as one network"
        remedy = "plan.strategy: full, which makes its members anew"
    if not remedy:
        return None
    message = f"no {policy.ensemble.kind}: {why}"
    return Finding(CODE, Verdict.FAIL, message, passes_if=remedy, enforced=False)


def make(given: Given, route: Route, policy: TrainPolicy) -> Made | Finding:
    """Train the members of `policy.ensemble`, and make one candidate of them.

    Where the rows do not fit into memory no member can have rows of its own: a finding says so.

    Args:
        given: Its request asks for the network of one member.
        route: As the strategy says.
    Raises:
        Interrupted: the work is to be left; see `loop.fit`.
    """
    rule = policy.ensemble
    kind = ENSEMBLES[rule.kind]
    base = ready(given, route, policy)
    if base.start.stream is not None:
        message = f"no {rule.kind}: the rows are read from their files, and all members alike"
        return Finding(CODE, Verdict.FAIL, message, passes_if="more memory", enforced=False)
    team = Team(base, rule, judge(base))
    for number in range(rule.members):
        team.ended.append(_member(kind, team, given, number))
    whole = kind.join(team)
    if kind.combine:
        task = given.request.task
        spec = Ensemble(kind.combine, rule.members, task.kind)
        network = replace(given.request.network, ensemble=spec)
        state: State = joined(team.states, whole.state)
        with torch.random.fork_rng(devices=[]):
            inputs = base.start.preprocessing.spec(task)
            net = build.build(network, inputs, given.tools.project)
        net.load_state_dict(state)
        base = replace(base, start=replace(base.start, net=net))
    else:
        network, state = given.request.network, whole.state
    single = [team.value(one) for one in team.states]
    weakest, run = _told(team, state)
    ended = Ended(run, weakest.learnt, state, _findings(team))
    return Made(base, ended, network, _finding(rule.kind, kind, team, whole, single))


def _member(kind: Kind, team: Team, given: Given, number: int) -> Ended:
    """Train a member, unless the disk has what it came to."""
    base, tools = team.base, given.tools
    folder = tools.folder(tools.scratch / "ensemble" / str(number))
    key = f"{base.keeper.key}/{number}"
    if (ended := kept.read(folder, key)) is not None:
        return ended
    seed = seed_of(tools.seed, number)
    attempt = base
    if number:
        route, policy = kind.settings(base.route, base.policy, number)
        attempt = ready(given, route, policy, seed)
    attempt = kind.vary(attempt, team, seed)
    ended = end(attempt, partial(_hear, given, number, team.rule.members, attempt.course.epochs))
    ended = replace(ended, state=kind.plain(ended.state))
    kept.keep(folder, key, ended)
    return ended


def seed_of(seed: int, number: int) -> int:
    """Derive a member's seed from the update's; the first one has the update's own.

    Example:
        >>> seed_of(7, 0), seed_of(7, 1) == seed_of(7, 2)
        (7, False)
    """
    if not number:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/member/{number}".encode()).digest()[:4])


def _hear(given: Given, number: int, members: int, epochs: int, epoch: Epoch) -> None:
    note = f"member {number + 1} of {members}, epoch {epoch.epoch}, "
    note += f"loss {epoch.loss:.4f}, validation {epoch.valid_loss:.4f} ({epoch.metric:.4f})"
    given.tools.progress("train", number + epoch.epoch / epochs, members, note)


def _told(team: Team, state: State) -> tuple[Ended, Run]:
    """Take the course of the weakest member, at the price of all."""
    weakest = max(team.ended, key=lambda one: (one.run.broken, one.run.best_loss))
    run = replace(
        weakest.run,
        best=state,
        steps=sum(one.run.steps for one in team.ended),
        passes=sum(one.run.passes for one in team.ended),
        damaged=[name for one in team.ended for name in one.run.damaged],
    )
    return weakest, run


def _findings(team: Team) -> tuple[Finding, ...]:
    """Name the findings of each member after it; a picture for each would say too much."""
    return tuple(
        replace(found, code=f"{found.code}:member {number}", picture={})
        for number, one in enumerate(team.ended, 1)
        for found in one.findings
    )


def _finding(name: str, kind: Kind, team: Team, whole: Joined, single: list[float]) -> Finding:
    """Hold the whole against its best member."""
    best = min(single)
    better = whole.value <= best
    sides = (
        "validation rows, fresh and old" if len(team.judge.sides) > 1 else "fresh validation rows"
    )
    passes = sum(one.run.passes for one in team.ended)
    message = f"{name}: {len(single)} members {kind.does}: loss {whole.value:.4f} on {sides}, in "
    message += f"units of the champion's, {best:.4f} of the best member alone"
    message += f" ({whole.why})" if whole.why else ""
    message += f"; {passes:,} sample passes in all"
    shown = [(f"member {number}", value) for number, value in enumerate(single, 1)]
    items = [
        {"label": label, "value": float(f"{value:.4g}")}
        for label, value in [("all", whole.value), *shown]
        if math.isfinite(value)
    ]
    return Finding(
        CODE,
        Verdict.PASS if better else Verdict.FAIL,
        message,
        measured=whole.value,
        limit=best,
        unit=_UNIT,
        n=team.judge.rows,
        passes_if="" if better else "train.ensemble.kind: none, or other members",
        enforced=False,
        picture={"kind": "bars", "items": items, "limit": None, "unit": _UNIT},
    )
