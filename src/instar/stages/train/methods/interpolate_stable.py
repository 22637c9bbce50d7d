"""Stable interpolation: right answers won, less right answers lost, decide how far to go."""

from __future__ import annotations

import torch
from torch import nn

from instar.core.finding import Finding
from instar.core.policy import TrainPolicy
from instar.models.predict import logits
from instar.models.weights import State
from instar.stages.train.methods.focal import right
from instar.stages.train.methods.interpolate import WEIGHTS, between, interpolate, sides_of, told
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows


def interpolate_stable(ground: Ground, policy: TrainPolicy) -> Part:
    """Choose the share of the way by accuracy less negative flips, on fresh and old rows.

    The smaller share wins a tie. A regression has no flips: there it is `interpolate`.

    Source:
        Wortsman et al. 2022 (WiSE-FT), chosen against flips as in Yan et al. 2021.
    """
    if not policy.interpolate or not ground.task.kind.judged:
        return interpolate(ground, policy)
    sides = sides_of(ground)

    def hits(net: nn.Module, state: State) -> list[torch.Tensor]:
        net.load_state_dict(state)
        return [right(_answered(net, rows), ground.task.kind) for rows in sides]

    def finish(net: nn.Module, successor: State) -> tuple[State, Finding]:
        before = hits(net, ground.champion)
        scores = []
        for weight in WEIGHTS:
            now = hits(net, between(ground.champion, successor, weight))
            pairs = zip(now, before, strict=True)
            scores.append(sum(float(n.float().mean() - (b & ~n).float().mean()) for n, b in pairs))
        _, best = max((score, -weight) for score, weight in zip(scores, WEIGHTS, strict=True))
        state = between(ground.champion, successor, -best)
        why = "answers most validation rows right, less those that the champion had right"
        count = sum(len(rows) for rows in sides)
        return state, told(-best, why, count, scores, "accuracy less flips")

    return Part(finish=finish)


def _answered(net: nn.Module, rows: Rows) -> Rows:
    """Give rows the network's own answers, in the teacher's place."""
    return Rows(rows.inputs, rows.labels, torch.from_numpy(logits(net, rows.inputs)))
