"""How weights come to be: by gradient steps, by refitting the head alone, or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import nn

from instar.core.family import Family
from instar.core.records import Epoch
from instar.models import surgery
from instar.models.head import refit
from instar.models.tasks import lesson_of
from instar.models.weights import copied
from instar.stages.train import chart, loop
from instar.stages.train.compute import Compute
from instar.stages.train.course import Course
from instar.stages.train.keeper import Keeper
from instar.stages.train.methods.part import Ground, Part, taught
from instar.stages.train.rows import Rows
from instar.stages.train.run import Run, begin, judge, look
from instar.stages.train.source import Brought, Held, Source
from instar.stages.train.stream import Stream
from instar.stages.train.team import Team


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a fit is given: the network, which it changes, and `rows`, those learnt first.

    Where there is a `stream`, the rows learnt are a draw of those that it reads.
    """

    net: nn.Module
    rows: Rows
    ground: Ground
    course: Course
    parts: Sequence[Part]
    keeper: Keeper
    tell: Callable[[Epoch], None]
    compute: Compute = field(default_factory=Compute)
    stream: Stream | None = None
    team: Team | None = None


Fit: TypeAlias = Callable[[Fitting], Run]


def steps(given: Fitting) -> Run:
    """Train by gradient steps; see `loop`. What methods do before the first counts as progress."""
    began = -math.inf
    if any(part.begin for part in given.parts):
        began, _ = judge(given.net, given.ground.valid, given.course)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(given.course.seed)  # some beginnings draw weights
        for part in given.parts:
            if part.begin:
                part.begin(given.net)
    source = _near(given)
    run = loop.fit(
        given.net,
        source,
        source.fresh,
        _near_valid(given.ground.valid, given.compute),
        given.course,
        groups=chart.groups(given.net, given.parts),
        keeper=given.keeper,
        tell=given.tell,
        compute=given.compute,
        team=given.team,
    )
    run.began = began
    return run


def _near(given: Fitting) -> Source:
    """Move the rows to the device, once; batch by batch where they do not fit there."""
    device, fresh = given.compute.device, len(given.ground.learn)
    if given.stream is None and device.holds(given.rows.size):
        held = given.rows.to(device.place)
        return _augmented(given, Held(held, fresh), held)
    source = _augmented(given, given.stream or Held(given.rows, fresh), given.rows)
    return source if device.place.type == "cpu" else Brought(source, device.place)


def _augmented(given: Fitting, source: Source, rows: Rows) -> Source:
    """Let rows that are made of those learnt join each batch, where a method asks for it."""
    fresh, teachers = len(given.ground.learn), [part for part in given.parts if part.teach]
    pool = Rows(tuple(part[:fresh] for part in rows.inputs), rows.labels[:fresh])
    after = [lambda made: taught(made, teachers)] if teachers else []
    for part in given.parts:
        if part.augment:
            source = part.augment.joining(source, pool, after)
    return source


def _near_valid(valid: Rows, compute: Compute) -> Rows:
    device = compute.device
    if not device.holds(valid.size):
        return valid
    return replace(valid, inputs=tuple(part.to(device.place) for part in valid.inputs))


def head(given: Fitting) -> Run:
    """Fit the head to cached features, from where it is: convex, so it needs no rate.

    Raises:
        NoHead: the network does not end in a Linear layer.
    """
    net, rows, kind = given.net, given.rows, given.ground.task.kind
    run = begin(net, given.ground.valid, given.course)
    cached = surgery.features(net, rows.inputs)  # (n, width)
    layer = net.get_submodule(surgery.head(net))
    fitted = refit(layer, cached, lesson_of(kind).truth(rows.labels), kind)
    layer.load_state_dict(fitted.state_dict())
    with torch.no_grad():
        loss = given.course.loss(layer(cached).cpu(), rows.labels).item()
    run.epoch = run.steps = 1
    run.passes, run.norms = round(len(rows) / 3), [0.0]
    look(run, net, given.ground.valid, given.course, loss, 0.0, 0.0)
    given.tell(run.history[-1])
    return run


def none(given: Fitting) -> Run:
    """Leave the weights as they are; the methods may still move what is no weight."""
    return Run(best=copied(given.net), best_loss=0.0, first_loss=0.0)


FITS: Family[Fit] = Family("fit", {"steps": steps, "head": head, "none": none})
