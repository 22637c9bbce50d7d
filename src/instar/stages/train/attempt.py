"""One training from its settings to its weights: made ready, run, ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import torch
from torch import nn

from instar.core.finding import Finding
from instar.core.policy import TrainPolicy
from instar.core.records import Admission, Epoch, ModelVersion, Request
from instar.core.tools import Tools
from instar.models.strategies import Route
from instar.models.weights import State
from instar.stages.train import chart, reading, rows
from instar.stages.train import compute as computing
from instar.stages.train.compute import Compute
from instar.stages.train.course import Course
from instar.stages.train.devices.cpu import Cpu
from instar.stages.train.devices.device import Device
from instar.stages.train.fits import FITS, Fitting
from instar.stages.train.keeper import Keeper
from instar.stages.train.losses import Loss
from instar.stages.train.methods import ask
from instar.stages.train.methods.part import Part, taught
from instar.stages.train.run import Run, judge
from instar.stages.train.settle import settle
from instar.stages.train.start import Start, lay
from instar.stages.train.stream import Stream, plain
from instar.stages.train.team import Team


@dataclass(frozen=True, slots=True)
class Given:
    """What every attempt of a training is given, whatever its settings."""

    request: Request
    champion: ModelVersion
    admission: Admission
    tools: Tools
    device: Device = field(default_factory=Cpu)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A training that can begin: `route` and `policy` are settled, `rows` is all it learns from.

    `origin` names it together with a route; see `chart.key`.
    """

    route: Route
    policy: TrainPolicy
    loss: Loss
    start: Start
    parts: Sequence[Part]
    rows: rows.Rows
    course: Course
    keeper: Keeper
    compute: Compute
    origin: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Where an attempt came to: `state` are its final weights, `findings` say how they were chosen.

    `learnt` is the loss of the best epoch on training rows. Where `whole` is not set, nothing was
    trained, and a finding says why.
    """

    run: Run
    learnt: float
    state: State
    findings: tuple[Finding, ...]
    whole: bool = True


def ready(given: Given, route: Route, policy: TrainPolicy, seed: int | None = None) -> Attempt:
    """Make a training ready; the same inputs, settings and seed make the same one.

    Args:
        route: As the strategy says.
        policy: The settings in force, where they are not empty.
        seed: Of new weights and of the order of rows; None: the update's own.
    Raises:
        UnknownName: the policy names a loss, method, ... that does not exist.
        InputError: the network cannot be built, or the champion's weights do not fit it.
    """
    request, champion, tools = given.request, given.champion, given.tools
    route, policy = settle(route, policy)
    loss = chart.loss(request.task, policy, tools)
    seed = tools.seed if seed is None else seed
    how = computing.choose(policy, given.device)
    start = lay(
        request,
        champion,
        given.admission,
        loss=loss,
        route=route,
        policy=policy,
        tools=tools,
        seed=seed,
        place=given.device.place,
    )
    parts = [ask(name, start.ground, policy, tools.project) for name in route.methods]
    data = _joined(start, parts)
    way = chart.course(request.task, loss, route, data, parts, policy, seed)
    origin = chart.origin(request, champion, start, policy, how, seed)
    keeper = chart.keeper(chart.key(origin, route), policy, tools)
    return Attempt(route, policy, loss, start, parts, data, way, keeper, how, origin)


def end(attempt: Attempt, tell: Callable[[Epoch], None], team: Team | None = None) -> Ended:
    """Carry an attempt out, from its last checkpoint if it has one, and choose its weights.

    Args:
        team: The processes that share its batches; None where this one is alone.
    Raises:
        Interrupted: the work is to be left; see `loop.fit`.
    """
    start, run = attempt.start, carried_out(attempt, tell, team)
    learnt = _loss_on_training_rows(start, run, attempt.course)
    state, findings = _finished(start.net, run, attempt.parts)
    findings += reading.told(start.reading, start.stream, len(start.learn))
    return Ended(run, learnt, state, tuple(findings))


def carried_out(attempt: Attempt, tell: Callable[[Epoch], None], team: Team | None) -> Run:
    """Make an attempt's steps."""
    return FITS[attempt.route.fit](fitting(attempt, tell, team))


def fitting(attempt: Attempt, tell: Callable[[Epoch], None], team: Team | None = None) -> Fitting:
    """Lay out what the steps of an attempt need."""
    start = attempt.start
    return Fitting(
        net=start.net,
        rows=attempt.rows,
        ground=start.ground,
        course=attempt.course,
        parts=attempt.parts,
        keeper=attempt.keeper,
        tell=tell,
        compute=attempt.compute,
        stream=_streamed(start, attempt.parts),
        team=team,
    )


def _joined(start: Start, parts: Sequence[Part]) -> rows.Rows:
    """Put what is learnt and what is replayed below each other, each with its trust."""
    return reduce(rows.join, _replayed(parts), taught(start.learn, parts))


def _replayed(parts: Sequence[Part]) -> list[rows.Rows]:
    recall = max((part.recall for part in parts), default=0.0)
    return [
        rows.trusting(part.rows, torch.full((len(part.rows),), recall))
        for part in parts
        if part.rows is not None
    ]


def _streamed(start: Start, parts: Sequence[Part]) -> Stream | None:
    """Give the rows that are read piece by piece what the methods give to those that are held."""
    if start.stream is None:
        return None
    read, old = start.stream.read, _replayed(parts)
    return replace(
        start.stream,
        read=lambda piece: taught(read(piece), parts),
        replay=plain(reduce(rows.join, old)) if old else None,
    )


def _loss_on_training_rows(start: Start, run: Run, way: Course) -> float:
    """Measure the best epoch on as many training rows as there are validation rows."""
    count = min(len(start.learn), len(start.ground.valid))
    some = start.learn.take(torch.linspace(0, len(start.learn) - 1, count).long())
    start.net.load_state_dict(run.best)
    loss, _ = judge(start.net, some, way)
    return loss


def _finished(net: nn.Module, run: Run, parts: Sequence[Part]) -> tuple[State, list[Finding]]:
    state, findings = run.best, []
    for part in sorted(parts, key=lambda part: part.begin is None):
        if part.finish and not run.broken:
            state, finding = part.finish(net, state)
            findings.append(finding)
    return state, findings
