"""Boosting: each member learns what the sum of those before it leaves unexplained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import nn

from instar.core.policy import TrainPolicy
from instar.core.records import Ensemble
from instar.models.ensemble import Sum
from instar.models.strategies import Route
from instar.models.weights import State
from instar.stages.train.attempt import Attempt
from instar.stages.train.ensembles.kind import Joined, Kind, Team
from instar.stages.train.methods.part import Part
from instar.stages.train.rows import Rows

_ROWS_ONLY = ("augment", "replay", "replay_balanced", "average")
_INSIDE = "member."


class Offset(nn.Module):
    """Add a share of a member's answer to what is there before it: the last part of the call."""

    def __init__(self, member: nn.Module, rate: float) -> None:
        super().__init__()
        self.member, self.rate = member, rate

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        *own, before = parts
        return before + self.rate * cast(torch.Tensor, self.member(*own))  # (n, k)


def from_new(route: Route, policy: TrainPolicy, number: int) -> tuple[Route, TrainPolicy]:
    """Keep of the methods what brings rows: the others hold a network near the champion."""
    kept = tuple(name for name in route.methods if name in _ROWS_ONLY)
    return replace(route, methods=kept), replace(policy, methods=())


def on_the_rest(attempt: Attempt, team: Team, seed: int) -> Attempt:
    """Give a member new weights and, with each row, what the members before it answer there."""
    if not team.ended:
        return attempt
    start, ground = attempt.start, attempt.start.ground

    def with_answers(rows: Rows) -> Rows:
        return replace(rows, inputs=(*rows.inputs, so_far(team, rows.inputs)))

    start.net.load_state_dict(ground.anew())
    net = Offset(start.net, team.rule.rate)
    learn, valid = with_answers(start.learn), with_answers(ground.valid)
    ground = replace(ground, net=net, learn=learn, valid=valid)
    return replace(
        attempt,
        start=replace(start, net=net, learn=learn, ground=ground),
        rows=with_answers(attempt.rows),
        parts=[_answered(part, with_answers) for part in attempt.parts],
    )


def _answered(part: Part, with_answers: Callable[[Rows], Rows]) -> Part:
    """Ask the members before about rows that are made in the course of the training, too."""
    if part.augment is None:
        return part

    def anew(rows: Rows) -> Rows:
        return with_answers(replace(rows, inputs=rows.inputs[:-1]))

    return replace(part, augment=replace(part.augment, after=(anew,)))


def so_far(team: Team, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Add up what the members answer, each at its weight: (n, k)."""
    outputs = team.base.start.ground.task.outputs
    spec = Ensemble("sum", len(team.ended), team.base.start.ground.task.kind)
    asked = Sum(spec, outputs)
    asked.weights.copy_(weights(team))
    return cast(torch.Tensor, asked(team.answers(inputs)))


def weights(team: Team) -> torch.Tensor:
    """Weigh members: the first fully, others at the rate, and not at all if they did not help."""
    least, given = team.ended[0].run.best_loss, [1.0]
    for one in team.ended[1:]:
        helped = one.run.best_loss < least and not one.run.broken
        given.append(team.rule.rate if helped else 0.0)
        least = min(least, one.run.best_loss) if helped else least
    return torch.tensor(given)


def added(team: Team) -> Joined:
    """Add the members up."""
    judge, given = team.judge, weights(team)
    value = judge.of([so_far(team, side.inputs) for side in judge.sides])
    idle = int((given == 0).sum())
    why = f"{idle} of them lowered no validation loss and count nothing" if idle else ""
    return Joined({"weights": given}, value, why)


def outside(state: State) -> State:
    """Take a member's weights out of what it was trained in."""
    return {name.removeprefix(_INSIDE): tensor for name, tensor in state.items()}


boosting = Kind(
    "add up, each after the first learning what those before it leave",
    "sum",
    added,
    settings=from_new,
    vary=on_the_rest,
    plain=outside,
)
"""
Source:
    Friedman 2001, "Greedy Function Approximation: A Gradient Boosting Machine"; with networks as
    members, Badirli et al. 2020, "Gradient Boosting Neural Networks: GrowNet".
"""
