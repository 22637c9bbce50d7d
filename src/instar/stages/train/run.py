"""Where a training stands, and how that is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import nn

from instar.core.digest import digest_bytes
from instar.core.records import Epoch
from instar.models.weights import State, copied
from instar.stages.train.course import Course
from instar.stages.train.rows import Rows
from instar.stages.train.source import Source
from instar.stages.train.team import Team


@dataclass(slots=True)
class Run:
    """Where the training stands: all that is carried from one step to the next.

    `step` counts those of the epoch under way, whose losses so far are `losses`; `dealt` is the
    state of the generator from which its order was drawn. `broken_at` and `broken_batch` name
    the step of the last epoch whose loss was no number, from 1, and the digest of its rows.
    `averaged` are the weights' running average, in the order of `Flat`, where one is kept.
    `damaged` names checkpoints that the disk has damaged. `first_metric` was measured with
    `first_loss`; `began` is the validation loss before a method's beginning, where there was one.
    `layers` are gradient norms by layer, in the last step of each epoch.
    """

    epoch: int = 0
    step: int = 0
    best: State = field(default_factory=dict)
    best_epoch: int = 0
    best_loss: float = math.inf
    first_loss: float = math.inf
    first_metric: float = math.nan
    began: float = -math.inf
    history: list[Epoch] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    layers: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    passes: int = 0
    broken: bool = False
    broken_at: int = 0
    broken_batch: str = ""
    losses: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    dealt: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    averaged: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    damaged: list[str] = field(default_factory=list)

    def goes_on(self, course: Course) -> bool:
        """Tell whether there is another epoch: the course has one, and patience has not run out."""
        return self.epoch < course.epochs and self.epoch - self.best_epoch < course.patience


def judge(net: nn.Module, valid: Rows, course: Course) -> tuple[float, float]:
    """Measure loss and metric on rows, in evaluation mode."""
    out, loss = course.lesson.judged(net, valid.inputs, valid.labels, course.loss)  # (n, k)
    return loss, course.metric(out, valid.labels.cpu())


def _judged(net: nn.Module, valid: Rows, course: Course, team: Team | None) -> tuple[float, float]:
    if team is None:
        return judge(net, valid, course)
    loss, metric = team.judged(judge(net, valid, course) if team.rank == 0 else (0.0, 0.0))
    return loss, metric


def begin(net: nn.Module, valid: Rows, course: Course, team: Team | None = None) -> Run:
    """Measure where a training starts; that counts as its epoch 0."""
    loss, metric = _judged(net, valid, course, team)
    loss = loss if math.isfinite(loss) else math.inf
    return Run(best=copied(net), best_loss=loss, first_loss=loss, first_metric=metric)


def look(
    run: Run,
    net: nn.Module,
    valid: Rows,
    course: Course,
    loss: float,
    norm: float,
    rate: float,
    team: Team | None = None,
) -> None:
    """Measure where the network is after an epoch, and keep its weights if they are the best."""
    valid_loss, metric = _judged(net, valid, course, team)
    run.history.append(Epoch(run.epoch, loss, valid_loss, metric, rate, norm))
    run.broken = not (math.isfinite(loss) and math.isfinite(valid_loss))
    if valid_loss < run.best_loss:
        run.best, run.best_epoch, run.best_loss = copied(net), run.epoch, valid_loss


def blame(run: Run, source: Source, course: Course) -> None:
    """Name the first step of the last epoch whose loss was no number, and its rows.

    Where every loss was a number, the weights were spoilt by the last step.
    """
    wrong = (~torch.isfinite(run.losses)).nonzero().flatten().tolist()
    run.broken_at = (wrong[0] if wrong else len(run.losses) - 1) + 1
    order = torch.Generator()
    order.set_state(run.dealt)
    data, places = next(islice(source.deal(order, course), run.broken_at - 1, None))
    batch = data.take(places)
    parts = [part.cpu().numpy().tobytes() for part in (*batch.inputs, batch.labels)]
    run.broken_batch = digest_bytes(b"".join(parts))
