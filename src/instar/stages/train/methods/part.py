"""What a training method is given, and what it may add to the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import nn

from instar.core.data import Task
from instar.core.finding import Finding
from instar.stages.train.loop import State, Term
from instar.stages.train.losses import Loss
from instar.stages.train.rows import Rows

Finish: TypeAlias = Callable[[nn.Module, State], tuple[State, Finding]]
"""Choose the final weights: (a network to try them in, the best epoch's) -> (weights, finding)."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The evidence of a training: the champion's weights, and the rows at hand.

    `replay` are old rows with the champion's logits as `teacher`; `old_valid` are others of the
    same sample that the training never sees. Either is None where there are no old rows. `loss` is
    the training's own; None: the policy's, by name.
    """

    task: Task
    champion: State
    valid: Rows
    replay: Rows | None
    old_valid: Rows | None
    loss: Loss | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one method adds: rows beside the fresh ones, a second loss, a choice at the end."""

    rows: Rows | None = None
    ratio: float = 0.0
    term: Term | None = None
    finish: Finish | None = None
