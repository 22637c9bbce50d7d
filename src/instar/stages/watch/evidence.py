"""What production has said of the champion, gathered once for all signals."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instar.core.data import Task
from instar.core.errors import NoTraffic
from instar.core.policy import WatchPolicy
from instar.core.records import ModelVersion
from instar.core.tools import Tools
from instar.tasks import form_of

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a signal may look at.

    `scores` (n, k) and `labels` (n,), of several labels (n, k) with NaN for one that is not
    known, are the labelled answers of the window, oldest first.
    `live` are the last class's probabilities (or the values) of all late answers, `learnt` the
    same on training rows; `learnt` is empty where the champion came without its logits. `answers`
    were counted since counting began, and `reports` are complaints about them.
    """

    task: Task
    metrics: Mapping[str, float]
    scores: Array
    labels: Array
    live: Array
    learnt: Array
    seed: int
    answers: int = 0
    reports: int = 0


def gather(champion: ModelVersion, policy: WatchPolicy, tools: Tools) -> Evidence:
    """Ask the gateway for the window."""
    if tools.traffic is None:
        raise NoTraffic
    labelled = tools.traffic.labelled(champion.name)
    live = np.asarray(tools.traffic.scores(champion.name), float)
    served = tools.traffic.served().get(champion.name)
    return Evidence(
        task=champion.task,
        metrics=champion.metrics,
        scores=np.asarray(labelled.scores[-policy.window :], float),
        labels=np.asarray(labelled.labels[-policy.window :], float),
        live=np.asarray(form_of(champion.task).single(live)) if live.ndim == 2 else np.zeros(0),
        learnt=_learnt(champion, tools),
        seed=tools.seed,
        answers=served.requests if served else 0,
        reports=served.reports if served else 0,
    )


def _learnt(champion: ModelVersion, tools: Tools) -> Array:
    if champion.replay_logits is None:
        return np.zeros(0)
    data = io.BytesIO(tools.artifacts.read(champion.replay_logits))
    logits = np.load(data, allow_pickle=False).astype(float)
    form = form_of(champion.task)
    return np.asarray(form.single(form.kept(form.scores(logits))))
