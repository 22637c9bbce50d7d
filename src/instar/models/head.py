"""Fit the last layer of a network again, on features that are computed once."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import nn

from instar.core.data import TaskKind
from instar.models.tasks import lesson_of

_PULL = 1e-3  # of the L2 penalty on the distance to the head as it was
_ITERATIONS = 50
_ENOUGH = 1e-6  # of the loss: a step that gains less ends it


def refit(head: nn.Module, cached: torch.Tensor, labels: NDArray[Any], kind: TaskKind) -> nn.Module:
    """Fit a copy of the head to features (n, width, ...), held near where it was.

    Convex, so it needs no rate and no seed; by L-BFGS, in float64, so that it does not stall. It
    is small, so that any device will do.
    """
    lesson, fitted = lesson_of(kind), copy.deepcopy(head).cpu().double()
    rows, truth = cached.cpu().double(), lesson.labels(labels)
    weights = list(fitted.parameters())
    before = nn.utils.parameters_to_vector(weights).detach().numpy().copy()

    def at(place: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        nn.utils.vector_to_parameters(torch.from_numpy(place.copy()), weights)
        with torch.enable_grad():
            loss = lesson.loss(fitted(rows), truth)
            slopes = torch.autograd.grad(loss, weights)
        apart = place - before
        slope = np.concatenate([part.numpy().ravel() for part in slopes])
        return loss.item() + _PULL * float(apart @ apart), slope + 2 * _PULL * apart

    limit = {"maxiter": _ITERATIONS, "ftol": _ENOUGH}
    found = minimize(at, before, jac=True, method="L-BFGS-B", options=limit).x
    nn.utils.vector_to_parameters(torch.from_numpy(found), weights)
    return fitted.float()
