"""What a course is: everything that says how a network is trained, with no name left to look up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import nn

from instar.models.predict import Floats
from instar.models.tasks import Lesson
from instar.models.weights import State
from instar.stages.train.losses import Loss
from instar.stages.train.optimizers import Rule
from instar.stages.train.rows import Rows
from instar.stages.train.schedules import Schedule

Term: TypeAlias = Callable[[torch.Tensor, Rows, torch.Tensor], torch.Tensor]
"""A second loss: (logits (b, k), rows, the batch's places among them (b,)) -> scalar."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a layer learns: at `scale` times the peak rate, once a share `since` has been done."""

    scale: float = 1.0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that learn at one pace."""

    parameters: Sequence[nn.Parameter]
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Anchor:
    """Half of `weight` times the squared distance to `place`, each weight times its `worth`.

    `place` and `worth` are tensors by the names of parameters; without `worth` all weigh 1. A
    parameter without a place is not pulled.
    """

    weight: float
    place: State
    worth: State | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """Say how to train.

    `lr` is the peak rate, `batch` fresh rows a step (0: all of them in one), `replay_ratio`
    replayed rows per fresh one. `metric` maps logits (n, k) and labels to the number that the
    history shows. `period` is in epochs. `l1` and `l2` weigh the penalties sum |w| and sum w^2 / 2.
    `average` is the decay of the running average of the weights that is judged and kept; 0: they
    are themselves. `lesson` says what a network is asked, and how it is judged.
    """

    rule: Rule
    schedule: Schedule
    loss: Loss
    terms: tuple[Term, ...]
    metric: Callable[[Floats, torch.Tensor], float]
    lr: float
    batch: int
    epochs: int
    replay_ratio: float
    weight_decay: float
    patience: int
    clip: float
    seed: int
    anchors: tuple[Anchor, ...] = ()
    average: float = 0.0
    period: int = 5
    l1: float = 0.0
    l2: float = 0.0
    lesson: Lesson = field(default_factory=Lesson)

    def steps(self, fresh: int) -> int:
        """Count the steps of an epoch over `fresh` rows."""
        return math.ceil(fresh / (self.batch or fresh))

    def replayed(self, fresh: int) -> int:
        """Count the replayed rows that join each batch of an epoch over `fresh` rows."""
        return round((self.batch or fresh) * self.replay_ratio)
