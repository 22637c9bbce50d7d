"""The probe: refit the champion's head on half of the fresh rows, score it on the other half.

It costs about one hundredth of a retrain and shows most of the gain that is within reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from instar.models import surgery
from instar.models.head import refit
from instar.models.predict import Floats
from instar.stages.plan.evidence import LEVEL, RESAMPLES, Evidence, Seen
from instar.stats.bootstrap import Estimate, paired_bootstrap
from instar.tasks import form_of


@dataclass(frozen=True, slots=True)
class Probe:
    """What refitting the head brought: gain and flips on fresh rows, forgetting on old ones.

    Gain and forgetting are in points of the primary metric, a fraction; flips are a share of rows.
    """

    gain: Estimate
    forgetting: float
    flips: float


def probe(evidence: Evidence) -> Probe:
    """Run the probe.

    Raises:
        NoHead: the network does not end in a Linear layer.
    Source:
        Kirichenko et al. 2023, "Last Layer Re-Training is Sufficient".
    """
    fresh, middle = evidence.fresh, len(evidence.fresh) // 2
    cached = surgery.features(evidence.net, fresh.inputs)  # (n, width)
    head = evidence.net.get_submodule(surgery.head(evidence.net))
    fitted = refit(head, cached[:middle], fresh.labels[:middle], evidence.task.kind)
    before, after = (_answers(layer, cached[middle:]) for layer in (head, fitted))
    labels = fresh.labels[middle:]
    lost = evidence.right(before, labels) & ~evidence.right(after, labels)
    return Probe(
        gain=paired_bootstrap(
            evidence.metric,
            evidence.scores(before),
            evidence.scores(after),
            labels,
            resamples=RESAMPLES,
            level=LEVEL,
            seed=evidence.seed,
        ),
        forgetting=_forgetting(evidence, head, fitted, evidence.old),
        flips=float(lost.sum() / max(1, form_of(evidence.task).known(labels).sum())),
    )


def _answers(layer: nn.Module, cached: torch.Tensor) -> Floats:
    with torch.no_grad():
        return cast(Floats, layer(cached).numpy())


def _forgetting(evidence: Evidence, head: nn.Module, fitted: nn.Module, old: Seen) -> float:
    cached = surgery.features(evidence.net, old.inputs)
    before, after = (
        evidence.metric(evidence.scores(_answers(layer, cached)), old.labels)
        for layer in (head, fitted)
    )
    return -float(evidence.metric.gain(np.array(before), np.array(after), before))
