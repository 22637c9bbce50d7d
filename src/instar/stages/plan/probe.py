"""The probe: what a moment's learning on half of the fresh rows does to the other half.

The head alone is refitted, and all layers are fine-tuned in some thirty steps. Where the second
gains more than the first, the layers below have something to learn; what it forgets, nothing
being replayed, is what a strategy has to prevent. Where there is batch normalisation, its
statistics are moved as well: that reads no label, so the labelled rows are an audit of it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from instar.models import recipes, statistics, surgery
from instar.models.fine_tune import fine_tuned
from instar.models.head import refit
from instar.models.predict import Floats, logits
from instar.stages.plan.evidence import LEVEL, RESAMPLES, Evidence
from instar.stats.bootstrap import Estimate
from instar.stats.bounds import paired
from instar.tasks import form_of


@dataclass(frozen=True, slots=True)
class Reach:
    """What learning brought: gain and flips on fresh rows, forgetting on old ones.

    Gain and forgetting are in points of the primary metric, a fraction; flips are a share of rows.
    """

    gain: Estimate
    forgetting: float
    flips: float


@dataclass(frozen=True, slots=True)
class Probe:
    """What refitting the head reaches, what all layers do, and what moved statistics do.

    `head` and `statistics` are None where the network has no such thing.
    """

    head: Reach | None
    body: Reach
    statistics: Reach | None = None

    @property
    def reaches(self) -> list[Reach]:
        """Those that there are."""
        return [reach for reach in (self.head, self.body, self.statistics) if reach]

    @property
    def best(self) -> Reach:
        """The one of the largest gain."""
        return max(self.reaches, key=lambda reach: np.nan_to_num(reach.gain.value, nan=-np.inf))


def probe(evidence: Evidence, champion: Mapping[str, float]) -> Probe:
    """Run the probe.

    Args:
        champion: Its recipe.
    Source:
        Kirichenko et al. 2023, "Last Layer Re-Training is Sufficient", for the head.
    """
    return Probe(_head(evidence), _body(evidence, champion), _statistics(evidence))


def _head(evidence: Evidence) -> Reach | None:
    fresh, middle = evidence.fresh, len(evidence.fresh) // 2
    try:
        cached = surgery.features(evidence.net, fresh.inputs)  # (n, width, ...)
    except surgery.NoHead:
        return None
    head = evidence.net.get_submodule(surgery.head(evidence.net))
    fitted = refit(head, cached[:middle], fresh.labels[:middle], evidence.task.kind)
    old = surgery.features(evidence.net, evidence.old.inputs)
    return _reach(
        evidence,
        [_answers(layer, cached[middle:]) for layer in (head, fitted)],
        [_answers(layer, old) for layer in (head, fitted)],
    )


def _answers(layer: nn.Module, cached: torch.Tensor) -> Floats:
    with torch.no_grad():
        return cast(Floats, layer(cached).numpy())


def _body(evidence: Evidence, champion: Mapping[str, float]) -> Reach:
    fresh, middle = evidence.fresh, len(evidence.fresh) // 2
    tuned = fine_tuned(
        evidence.net,
        tuple(part[:middle] for part in fresh.inputs),
        fresh.labels[:middle],
        evidence.task.kind,
        recipes.glimpse(champion, middle),
        evidence.seed,
    )
    return _compared(evidence, tuned)


def _statistics(evidence: Evidence) -> Reach | None:
    if not statistics.layers(evidence.net):
        return None
    moved, seen = copy.deepcopy(evidence.net), evidence.fresh.inputs
    if evidence.unlabelled is not None:
        seen = tuple(torch.cat(pair) for pair in zip(seen, evidence.unlabelled, strict=True))
    statistics.half_way(moved, seen)
    return _compared(evidence, moved)


def _compared(evidence: Evidence, changed: nn.Module) -> Reach:
    """Ask the champion and a changed copy about the fresh rows held back, and the old ones."""
    middle, pair = len(evidence.fresh) // 2, (evidence.net, changed)
    held = tuple(part[middle:] for part in evidence.fresh.inputs)
    return _reach(
        evidence,
        [logits(net, held) for net in pair],
        [logits(net, evidence.old.inputs) for net in pair],
    )


def _reach(evidence: Evidence, fresh: list[Floats], old: list[Floats]) -> Reach:
    """Compare answers before and after: on fresh rows held back, and on old ones."""
    (before, after), labels = fresh, evidence.fresh.labels[len(evidence.fresh) // 2 :]
    lost = evidence.right(before, labels) & ~evidence.right(after, labels)
    was, now = (evidence.metric(evidence.scores(part), evidence.old.labels) for part in old)
    return Reach(
        gain=paired(
            evidence.metric,
            evidence.scores(before),
            evidence.scores(after),
            labels,
            resamples=RESAMPLES,
            level=LEVEL,
            seed=evidence.seed,
        ),
        forgetting=-float(evidence.metric.gain(np.array(was), np.array(now), was)),
        flips=float(lost.sum() / max(1, form_of(evidence.task).known(labels).sum())),
    )
