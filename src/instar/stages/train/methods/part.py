"""What a training method is given, and what it may add to the training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from instar.core.data import Preprocessing, Task
from instar.core.finding import Finding
from instar.models.weights import State
from instar.stages.train.augment.augmented import Augment
from instar.stages.train.course import Anchor, Pace, Term
from instar.stages.train.losses import Loss
from instar.stages.train.rows import Rows

Finish: TypeAlias = Callable[[nn.Module, State], tuple[State, Finding]]
"""Choose the final weights: (a network to try them in, the best epoch's) -> (weights, finding)."""
Paces: TypeAlias = Callable[[Sequence[str]], Mapping[str, Pace]]
"""Say how layers learn: their names from the bottom up -> those that differ from the rest."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The evidence of a training: the champion, and the rows at hand.

    `champion` are its weights, as far as they fit `net`; `anew` makes new ones. `learn` are the
    rows of an epoch. `replay` are old rows, `old_valid` others of the same sample that the
    training never sees; either is None where there are no old rows. `teach` gives rows the
    champion's logits as `teacher`. `loss` is the training's own. `unlabelled` are the network's
    call arguments for fresh rows without a label, where there are any. `pretrained` reads the
    weights learnt elsewhere; it is None where no file of them is named. `preprocessing` says what
    the call arguments are.
    """

    task: Task
    net: nn.Module
    champion: State
    anew: Callable[[], State]
    learn: Rows
    valid: Rows
    replay: Rows | None
    old_valid: Rows | None
    teach: Callable[[Rows], Rows]
    loss: Loss
    seed: int = 0
    unlabelled: tuple[torch.Tensor, ...] | None = None
    pretrained: Callable[[], State] | None = None
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one method adds.

    `rows` are mixed in, `ratio` for each row learnt; `augment` makes others of the rows learnt,
    batch by batch. `teach` takes the rows learnt and gives them
    back with a teacher and how far to trust it, row by row; `recall` is how far to trust it on
    replayed rows. `term` is a second loss, `anchors`
    are penalties on the distance from given weights, `paces` say how fast layers learn, `average`
    is the decay of a running average of the weights, which is what is judged and kept. `begin`
    changes the network before the first step, `finish` chooses the weights after the last: first
    those who began something, since they may have to undo it.
    """

    rows: Rows | None = None
    ratio: float = 0.0
    augment: Augment | None = None
    teach: Callable[[Rows], Rows] | None = None
    recall: float = 0.0
    term: Term | None = None
    anchors: tuple[Anchor, ...] = ()
    paces: Paces | None = None
    average: float = 0.0
    begin: Callable[[nn.Module], None] | None = None
    finish: Finish | None = None


def taught(rows: Rows, parts: Iterable[Part]) -> Rows:
    """Give rows that are learnt the teachers of all parts."""
    for part in parts:
        rows = part.teach(rows) if part.teach else rows
    return rows
