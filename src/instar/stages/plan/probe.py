"""The probe: what a moment's learning on half of the fresh rows does to the other half.

Twice: the head alone is refitted, and all layers are fine-tuned in some thirty steps. Together they
cost a few hundredths of a retrain. Where the second gains more than the first, the layers
below have something to learn; what it forgets, nothing being replayed, is what a strategy has
to prevent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from instar.models import recipes, surgery
from instar.models.fine_tune import fine_tuned
from instar.models.head import refit
from instar.models.predict import Floats, logits
from instar.stages.plan.evidence import LEVEL, RESAMPLES, Evidence
from instar.stats.bootstrap import Estimate, paired_bootstrap


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
    """What refitting the head reaches, None where the network has none, and what all layers do."""

    head: Reach | None
    body: Reach

    @property
    def best(self) -> Reach:
        """The one of the larger gain."""
        if self.head is None or self.body.gain.value > self.head.gain.value:
            return self.body
        return self.head


def probe(evidence: Evidence, champion: Mapping[str, float]) -> Probe:
    """Run the probe.

    Args:
        champion: Its recipe.
    Source:
        Kirichenko et al. 2023, "Last Layer Re-Training is Sufficient", for the head.
    """
    return Probe(_head(evidence), _body(evidence, champion))


def _head(evidence: Evidence) -> Reach | None:
    fresh, middle = evidence.fresh, len(evidence.fresh) // 2
    try:
        cached = surgery.features(evidence.net, fresh.inputs)  # (n, width)
    except surgery.NoHead:
        return None
    head = cast(nn.Linear, evidence.net.get_submodule(surgery.head(evidence.net)))
    fitted = refit(head, cached[:middle], fresh.labels[:middle], evidence.task.kind)
    old = surgery.features(evidence.net, evidence.old.inputs)
    return _reach(
        evidence,
        [_answers(layer, cached[middle:]) for layer in (head, fitted)],
        [_answers(layer, old) for layer in (head, fitted)],
    )


def _answers(layer: nn.Linear, cached: torch.Tensor) -> Floats:
    with torch.no_grad():
        return cast(Floats, layer(cached).numpy())


def _body(evidence: Evidence, champion: Mapping[str, float]) -> Reach:
    fresh, middle = evidence.fresh, len(evidence.fresh) // 2
    learnt, held = (
        tuple(part[place] for part in fresh.inputs)
        for place in (slice(middle), slice(middle, None))
    )
    tuned = fine_tuned(
        evidence.net,
        learnt,
        fresh.labels[:middle],
        evidence.task.kind,
        recipes.glimpse(champion, middle),
        evidence.seed,
    )
    pair = (evidence.net, tuned)
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
        gain=paired_bootstrap(
            evidence.metric,
            evidence.scores(before),
            evidence.scores(after),
            labels,
            resamples=RESAMPLES,
            level=LEVEL,
            seed=evidence.seed,
        ),
        forgetting=-float(evidence.metric.gain(np.array(was), np.array(now), was)),
        flips=float(lost.mean()),
    )
