"""Gather what the planner decides on: the champion, its rows, and how it does on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from instar.core.data import Snapshot, Task
from instar.core.errors import NothingAdmitted
from instar.core.finding import Interval
from instar.core.policy import PlanPolicy
from instar.core.records import Admission, ModelVersion
from instar.core.tools import Tools
from instar.data import preprocessing as prepare
from instar.data import snapshot
from instar.data.schema.tasks import target_of
from instar.data.split import sample
from instar.models import build, predict, weights
from instar.stats.bootstrap import Estimate
from instar.stats.bounds import standard_error
from instar.stats.metrics import Metric, deciding
from instar.tasks import form_of

RESAMPLES, LEVEL = 200, 0.95


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows as the champion sees them: its call arguments, each (n, ...), and labels (n,)."""

    inputs: tuple[torch.Tensor, ...]
    labels: NDArray[np.float32] | NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The champion's network; shuffled rows: fresh, learnt from, and held against.

    `unlabelled` are the network's call arguments for fresh rows without a label, if any are kept.
    """

    task: Task
    net: nn.Module
    fresh: Seen
    old: Seen
    holdout: Seen | None
    seed: int
    unlabelled: tuple[torch.Tensor, ...] | None = None

    @property
    def metric(self) -> Metric:
        return deciding(self.task)

    def scores(self, logits: predict.Floats) -> predict.Floats:
        return predict.probabilities(logits, self.task)

    def right(self, logits: predict.Floats, labels: NDArray[np.generic]) -> NDArray[np.bool_]:
        """Tell which rows, or what of them, are answered right; none for a regression."""
        return form_of(self.task).right(self.scores(logits), labels, self.task)


def gather(
    champion: ModelVersion, admission: Admission, policy: PlanPolicy, tools: Tools
) -> Evidence:
    """Read at most `2 * policy.probe_rows` fresh rows, and as many old and held-out ones.

    Raises:
        NothingAdmitted: the data gate let nothing through.
        InputError: the champion's network cannot be built, or its weights do not fit it.
    """
    if admission.split is None:
        raise NothingAdmitted
    how = champion.preprocessing
    net = build.build(
        champion.network,
        how.spec(champion.task),
        tools.project,
    )
    weights.load(net, tools.artifacts.read(champion.weights))

    def drawn(*snapshots: Snapshot) -> pl.DataFrame:
        frame = snapshot.load_all(snapshots, tools.artifacts)
        some = sample(frame, 2 * policy.probe_rows, tools.seed)
        return some.sample(fraction=1.0, shuffle=True, seed=tools.seed)

    def seen(*snapshots: Snapshot) -> Seen:
        return _seen(drawn(*snapshots), champion)

    without = admission.split.unlabelled
    old = (champion.replay,) if champion.replay else champion.train
    return Evidence(
        task=champion.task,
        net=net.eval(),
        fresh=seen(admission.split.train),
        old=seen(*old),
        holdout=seen(*champion.holdout) if champion.holdout else None,
        seed=tools.seed,
        unlabelled=predict.tensors(prepare.inputs(drawn(without), how)) if without else None,
    )


def _seen(frame: pl.DataFrame, champion: ModelVersion) -> Seen:
    # Of a class that came new, the champion can be asked nothing.
    if (known := target_of(champion.task).knows(champion.task)) is not None:
        frame = frame.filter(known)
    inputs = prepare.inputs(frame, champion.preprocessing)
    return Seen(predict.tensors(inputs), prepare.labels(frame, champion.task))


def drop(evidence: Evidence) -> Estimate | None:
    """Measure how much worse the champion is on fresh rows than on its holdout.

    Points of the primary metric as a fraction, positive where it fell; None without a holdout.
    """
    if evidence.holdout is None:
        return None
    metric = evidence.metric
    (before, was), (now, error) = (
        _measured(evidence, rows) for rows in (evidence.holdout, evidence.fresh)
    )
    fell = -float(metric.gain(np.array(before), np.array(now), before))
    unit = max(abs(before), 1e-12) if metric.relative else 1.0
    both = float(np.hypot(was, error)) / unit
    reach = 1.96 * both
    return Estimate(fell, Interval(fell - reach, fell + reach, LEVEL), both, len(evidence.fresh))


def exchange(evidence: Evidence) -> float:
    """Say what a point on old rows comes to on fresh ones: 1, unless points are shares.

    A share of the champion's error on rows that it knows is a small error, the same share on rows
    that it does not know a large one: added up as they are, an error that is halved where it is
    large would be outweighed by one that doubles where there is hardly any.
    """
    metric = evidence.metric
    if not metric.relative:
        return 1.0
    old, fresh = (
        metric(evidence.scores(predict.logits(evidence.net, rows.inputs)), rows.labels)
        for rows in (evidence.old, evidence.fresh)
    )
    known = np.isfinite([old, fresh]).all() and fresh > 0
    return float(old / fresh) if known else 1.0


def _measured(evidence: Evidence, rows: Seen) -> tuple[float, float]:
    """Measure the champion on rows: the metric, and its standard error."""
    metric, scores = evidence.metric, evidence.scores(predict.logits(evidence.net, rows.inputs))
    error = standard_error(metric, scores, rows.labels, resamples=RESAMPLES, seed=evidence.seed)
    return metric(scores, rows.labels), error
