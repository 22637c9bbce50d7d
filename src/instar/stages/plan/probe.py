"""The probe: refit the champion's head on half of the fresh rows, score it on the other half.

It costs about one hundredth of a retrain and shows most of the gain that is within reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from instar.core.data import TaskKind
from instar.models import surgery
from instar.models.predict import Floats
from instar.stages.plan.evidence import LEVEL, RESAMPLES, Evidence, Seen
from instar.stats.bootstrap import Estimate, paired_bootstrap

_PULL = 1e-3  # of the L2 penalty on the distance to the champion's head
_ITERATIONS = 50


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
    head = cast(nn.Linear, evidence.net.get_submodule(surgery.head(evidence.net)))
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
        flips=float(lost.mean()),
    )


def refit(
    head: nn.Linear,
    cached: torch.Tensor,
    labels: NDArray[np.float32] | NDArray[np.int64],
    kind: TaskKind,
) -> nn.Linear:
    """Fit a copy of the head to features (n, width), held near where it was.

    Convex, so it needs no rate and no seed; in float64, so that the search does not stall.
    """
    fitted = nn.Linear(head.in_features, head.out_features, head.bias is not None).double()
    fitted.load_state_dict(head.state_dict())
    anchor = [p.detach().clone() for p in fitted.parameters()]
    rows, truth = cached.double(), torch.tensor(labels)
    search = torch.optim.LBFGS(
        fitted.parameters(), max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        search.zero_grad()
        pairs = zip(fitted.parameters(), anchor, strict=True)
        apart = torch.stack([(p - a).square().sum() for p, a in pairs]).sum()
        loss = _loss(fitted(rows), truth, kind) + _PULL * apart
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss

    search.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return fitted.float()


def _loss(out: torch.Tensor, truth: torch.Tensor, kind: TaskKind) -> torch.Tensor:
    if kind is TaskKind.MULTICLASS:
        return functional.cross_entropy(out, truth)
    if kind is TaskKind.BINARY:
        return functional.binary_cross_entropy_with_logits(out[:, 0], truth.to(out.dtype))
    return functional.mse_loss(out[:, 0], truth.to(out.dtype))


def _answers(layer: nn.Linear, cached: torch.Tensor) -> Floats:
    with torch.no_grad():
        return cast(Floats, layer(cached).numpy())


def _forgetting(evidence: Evidence, head: nn.Linear, fitted: nn.Linear, old: Seen) -> float:
    cached = surgery.features(evidence.net, old.inputs)
    before, after = (
        evidence.metric(evidence.scores(_answers(layer, cached)), old.labels)
        for layer in (head, fitted)
    )
    return -float(evidence.metric.gain(np.array(before), np.array(after), before))
