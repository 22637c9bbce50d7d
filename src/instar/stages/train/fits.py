"""How weights come to be: by gradient steps, by refitting the head alone, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from instar.core.family import Family
from instar.core.records import Epoch
from instar.models import surgery
from instar.models.head import refit
from instar.models.tasks import lesson_of
from instar.stages.train import course, loop
from instar.stages.train.loop import Course, Keeper, Run, State
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a fit is given: the network, which it changes, and `rows`, those learnt first."""

    net: nn.Module
    rows: Rows
    ground: Ground
    course: Course
    parts: Sequence[Part]
    keeper: Keeper
    tell: Callable[[Epoch], None]


Fit: TypeAlias = Callable[[Fitting], Run]


def steps(given: Fitting) -> Run:
    """Train by gradient steps; see `loop`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(given.course.seed)  # some beginnings draw weights
        for part in given.parts:
            if part.begin:
                part.begin(given.net)
    return loop.fit(
        given.net,
        given.rows,
        len(given.ground.learn),
        given.ground.valid,
        given.course,
        groups=course.groups(given.net, given.parts),
        keeper=given.keeper,
        tell=given.tell,
    )


def head(given: Fitting) -> Run:
    """Fit the head to cached features, from where it is: convex, so it needs no rate.

    Raises:
        NoHead: the network does not end in a Linear layer.
    """
    net, rows, kind = given.net, given.rows, given.ground.task.kind
    run = loop.begin(net, given.ground.valid, given.course)
    cached = surgery.features(net, rows.inputs)  # (n, width)
    layer = net.get_submodule(surgery.head(net))
    fitted = refit(layer, cached, lesson_of(kind).truth(rows.labels), kind)
    layer.load_state_dict(fitted.state_dict())
    with torch.no_grad():
        loss = given.course.loss(layer(cached), rows.labels).item()
    run.epoch = run.steps = 1
    run.passes, run.norms = round(len(rows) / 3), [0.0]
    loop.look(run, net, given.ground.valid, given.course, loss, 0.0, 0.0)
    given.tell(run.history[-1])
    return run


def none(given: Fitting) -> Run:
    """Leave the weights as they are; the methods may still move what is no weight."""
    state: State = {k: t.detach().clone() for k, t in given.net.state_dict().items()}
    return Run(best=state, best_loss=0.0, first_loss=0.0)


FITS: Family[Fit] = Family("fit", {"steps": steps, "head": head, "none": none})
