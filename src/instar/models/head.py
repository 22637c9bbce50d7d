"""Fit the last layer of a network again, on features that are computed once."""

from __future__ import annotations

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


def refit(head: nn.Linear, cached: torch.Tensor, labels: NDArray[Any], kind: TaskKind) -> nn.Linear:
    """Fit a copy of the head to features (n, width), held near where it was.

    Convex, so it needs no rate and no seed; by L-BFGS, in float64, so that it does not stall.
    Only the loss is differentiated by autograd, the layer by hand, which takes a third of the time.
    """
    lesson, rows = lesson_of(kind), cached.cpu().double()  # it is small: any device will do
    truth = lesson.labels(labels)
    shape = head.weight.shape
    before = torch.cat([p.detach().double().flatten() for p in head.parameters()])

    def at(place: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = torch.from_numpy(place)
        matrix, bias = weights[: shape.numel()].view(shape), weights[shape.numel() :]
        out = rows @ matrix.T
        out = (out + bias if len(bias) else out).requires_grad_()  # (n, k)
        loss = lesson.loss(out, truth)
        (slope,) = torch.autograd.grad(loss, out)
        steps = [(slope.T @ rows).flatten(), *([slope.sum(0)] if len(bias) else [])]
        apart = weights - before
        value = loss.item() + _PULL * float(apart @ apart)
        return value, (torch.cat(steps) + 2 * _PULL * apart).numpy()

    limit = {"maxiter": _ITERATIONS}
    found = minimize(at, before.numpy(), jac=True, method="L-BFGS-B", options=limit).x
    fitted = nn.Linear(head.in_features, head.out_features, head.bias is not None)
    nn.utils.vector_to_parameters(torch.from_numpy(found).float(), fitted.parameters())
    return fitted
