"""Fit the last layer of a network again, on features that are computed once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from instar.core.data import TaskKind

_PULL = 1e-3  # of the L2 penalty on the distance to the head as it was
_ITERATIONS = 50


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
    rows, truth = cached.cpu().double(), torch.tensor(labels)  # it is small: any device will do
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
