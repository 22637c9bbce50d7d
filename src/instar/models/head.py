"""Fit the last layer of a network again, on features that are computed once."""

from __future__ import annotations

import copy
from typing import Any

import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import nn

from instar.core.data import TaskKind
from instar.models.tasks import lesson_of

_PULL = 1e-3  # of the L2 penalty on the distance to the head as it was
_ITERATIONS = 50


def refit(head: nn.Module, cached: torch.Tensor, labels: NDArray[Any], kind: TaskKind) -> nn.Module:
    """Fit a copy of the head to features (n, width, ...), held near where it was.

    Convex, so it needs no rate and no seed; by L-BFGS, in float64, so that it does not stall. It
    is small, so that any device will do.
    """
    lesson, fitted = lesson_of(kind), copy.deepcopy(head).cpu().double()
    rows, truth = cached.cpu().double(), lesson.labels(labels)
    before = nn.utils.parameters_to_vector(fitted.parameters()).detach()

    def at(place: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        weights = torch.tensor(place)
        nn.utils.vector_to_parameters(weights, fitted.parameters())
        with torch.enable_grad():
            loss = lesson.loss(fitted(rows), truth)
            slopes = torch.autograd.grad(loss, list(fitted.parameters()))
        apart = weights - before
        slope = torch.cat([part.flatten() for part in slopes]) + 2 * _PULL * apart
        return loss.item() + _PULL * float(apart @ apart), slope.numpy()

    limit = {"maxiter": _ITERATIONS}
    found = minimize(at, before.numpy(), jac=True, method="L-BFGS-B", options=limit).x
    nn.utils.vector_to_parameters(torch.from_numpy(found), fitted.parameters())
    return fitted.float()
