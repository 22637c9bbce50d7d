"""Stable interpolation: right answers won, less right answers lost, decide how far to go."""

from __future__ import annotations

import math

import torch
from torch import nn

from instar.core.data import Task
from instar.core.finding import Finding
from instar.core.policy import TrainPolicy
from instar.models.predict import logits, probabilities
from instar.models.tasks import lesson_of
from instar.models.weights import State
from instar.stages.train.methods.focal import right
from instar.stages.train.methods.interpolate import WEIGHTS, between, interpolate, sides_of, told
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows
from instar.stats.metrics import Metric, deciding


def interpolate_stable(ground: Ground, policy: TrainPolicy) -> Part:
    """Choose the share of the way by what is gained less negative flips, on fresh and old rows.

    Gained is accuracy and, where another metric is the primary one, that too: where classes are
    lopsided, accuracy alone sees nothing to gain. The smaller share wins a tie. A regression has no
    flips: there it is `interpolate`.

    Source:
        Wortsman et al. 2022 (WiSE-FT), chosen against flips as in Yan et al. 2021.
    """
    if not policy.interpolate or not ground.task.kind.judged:
        return interpolate(ground, policy)
    sides, metric = sides_of(ground), deciding(ground.task)

    def judge(net: nn.Module, state: State) -> list[tuple[torch.Tensor, float]]:
        net.load_state_dict(state)
        return [_judged(net, rows, ground.task, metric) for rows in sides]

    def finish(net: nn.Module, successor: State) -> tuple[State, Finding]:
        before = judge(net, ground.champion)
        scores = []
        for weight in WEIGHTS:
            now = judge(net, between(ground.champion, successor, weight))
            score = 0.0
            for (hits, figure), (had, _) in zip(now, before, strict=True):
                score += float(hits.float().mean() - (had & ~hits).float().mean()) + figure
            scores.append(score)
        _, best = max((score, -weight) for score, weight in zip(scores, WEIGHTS, strict=True))
        state = between(ground.champion, successor, -best)
        why = "gains most on validation rows, less the answers that the champion had right"
        count = sum(len(rows) for rows in sides)
        return state, told(-best, why, count, scores, "gain less flips")

    return Part(finish=finish)


def _judged(net: nn.Module, rows: Rows, task: Task, metric: Metric) -> tuple[torch.Tensor, float]:
    """Tell which rows are answered right, and give the primary metric where it is another one."""
    answers = logits(net, rows.inputs)
    hits = right(Rows(rows.inputs, rows.labels, torch.from_numpy(answers)), task.kind)
    if metric.name == "accuracy":
        return hits, 0.0
    truth = lesson_of(task).truth(rows.labels)
    figure = metric(probabilities(answers, task), truth)
    return hits, figure if math.isfinite(figure) else 0.0
