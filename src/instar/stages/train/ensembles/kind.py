"""What a kind of ensemble is: how its members differ, and what becomes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch

from instar.core.policy import EnsembleRule, TrainPolicy
from instar.models.predict import logits
from instar.models.strategies import Route
from instar.models.weights import State
from instar.stages.train.attempt import Attempt, Ended
from instar.stages.train.tuning.judge import Judge


@dataclass(frozen=True, slots=True)
class Team:
    """The members so far, and what they have in common.

    `base` is the training as the update's own seed gives it, whose network serves to ask members;
    `ended` are their trainings, in order. `judge` measures the loss on validation rows, fresh and
    old, each in units of the champion's.
    """

    base: Attempt
    rule: EnsembleRule
    judge: Judge
    ended: list[Ended] = field(default_factory=list)

    @property
    def states(self) -> list[State]:
        return [one.state for one in self.ended]

    def value(self, state: State) -> float:
        """Judge one set of weights."""
        self.base.start.net.load_state_dict(state)
        value = self.judge.value(self.base.start.net)
        return value if math.isfinite(value) else math.inf

    def answers(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Ask every member: logits (members, n, k)."""
        net, told = self.base.start.net, []
        for state in self.states:
            net.load_state_dict(state)
            told.append(torch.from_numpy(logits(net, inputs)))
        return torch.stack(told)


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of the members.

    `state` are the weights of what combines their answers or, of a soup, of the one network;
    `value` is the judge's, on rows that nothing of it was fitted to; `why` says more.
    """

    state: State
    value: float
    why: str = ""


Settings: TypeAlias = Callable[[Route, TrainPolicy, int], tuple[Route, TrainPolicy]]
"""Say how member `number`, from 1, is trained otherwise than the first."""
Vary: TypeAlias = Callable[[Attempt, Team, int], Attempt]
"""Change a training that is ready: the member's, its number, and the seed that is its own."""
Join: TypeAlias = Callable[[Team], Joined]


def as_the_first(route: Route, policy: TrainPolicy, number: int) -> tuple[Route, TrainPolicy]:
    """Train every member with the same settings."""
    return route, policy


def as_it_is(attempt: Attempt, team: Team, seed: int) -> Attempt:
    """Change nothing but the seed."""
    return attempt


def whole(state: State) -> State:
    """Take a member's weights as they are named."""
    return state


@dataclass(frozen=True, slots=True)
class Kind:
    """One way from several trainings to one candidate.

    `does` completes "5 members ...". `combine` names how an ensemble's answers become one (see
    `instar.models.ensemble`); empty: the weights become one. `plain` gives a member's weights the
    names of the network's.
    """

    does: str
    combine: str
    join: Join
    settings: Settings = as_the_first
    vary: Vary = as_it_is
    plain: Callable[[State], State] = whole
