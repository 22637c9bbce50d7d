"""Fit the last layer of a network again, on features that are computed once."""

from __future__ import annotations

import copy
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from instar.core.data import TaskKind
from instar.models.tasks import lesson_of

_PULL = 1e-3  # of the L2 penalty on the distance to the head as it was
_ITERATIONS = 50


def refit(
    head: nn.Module,
    cached: torch.Tensor,
    labels: NDArray[Any],
    kind: TaskKind,
) -> nn.Module:
    """Fit a copy of the head to features (n, width, ...), held near where it was.

    Convex, so it needs no rate and no seed; in float64, so that the search does not stall.
    """
    fitted = copy.deepcopy(head).double()
    anchor = [p.detach().clone() for p in fitted.parameters()]
    lesson = lesson_of(kind)
    rows, truth = cached.double(), lesson.labels(labels)
    search = torch.optim.LBFGS(
        fitted.parameters(), max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        search.zero_grad()
        pairs = zip(fitted.parameters(), anchor, strict=True)
        apart = torch.stack([(p - a).square().sum() for p, a in pairs]).sum()
        loss = lesson.loss(fitted(rows), truth) + _PULL * apart
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss

    search.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return fitted.float()
