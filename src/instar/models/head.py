"""Fit the last layer of a network again, on features that are computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from torch import nn

from instar.core.data import TaskKind

_PULL = 1e-3  # of the L2 penalty on the distance to the head as it was
_ITERATIONS = 50

_Doubles: TypeAlias = NDArray[np.float64]
_Labels: TypeAlias = NDArray[Any]
_Loss: TypeAlias = Callable[[_Doubles, _Labels], tuple[float, _Doubles]]
"""From logits (n, k) and labels (n,): the mean loss, and its gradient by the logits (n, k)."""


def refit(
    head: nn.Linear,
    cached: torch.Tensor,
    labels: NDArray[np.float32] | NDArray[np.int64],
    kind: TaskKind,
) -> nn.Linear:
    """Fit a copy of the head to features (n, width), held near where it was.

    Convex, so it needs no rate and no seed; by L-BFGS on the gradient written out, which takes a
    fifth of the time that it takes through autograd, and in float64, so that it does not stall.
    """
    rows = cached.numpy().astype(np.float64)
    before = [p.detach().numpy().astype(np.float64) for p in head.parameters()]
    place = np.concatenate([part.ravel() for part in before])
    shape, loss = before[0].shape, _LOSSES[kind]

    def at(weights: _Doubles) -> tuple[float, _Doubles]:
        apart = weights - place
        matrix, bias = weights[: shape[0] * shape[1]].reshape(shape), weights[shape[0] * shape[1] :]
        value, slope = loss(rows @ matrix.T + (bias if len(bias) else 0.0), labels)
        by_weight = [(slope.T @ rows).ravel(), *([slope.sum(axis=0)] if len(bias) else [])]
        return value + _PULL * float(apart @ apart), np.concatenate(by_weight) + 2 * _PULL * apart

    found = minimize(at, place, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}).x
    fitted = nn.Linear(head.in_features, head.out_features, head.bias is not None)
    cut = np.split(found, [before[0].size])
    with torch.no_grad():
        for parameter, values in zip(fitted.parameters(), cut, strict=False):
            parameter.copy_(torch.from_numpy(values).reshape(parameter.shape))
    return fitted


def _cross_entropy(out: _Doubles, labels: _Labels) -> tuple[float, _Doubles]:
    slope, places = softmax(out, axis=1), np.arange(len(labels))
    slope[places, labels] -= 1
    return -float(log_softmax(out, axis=1)[places, labels].mean()), slope / len(labels)


def _bce(out: _Doubles, labels: _Labels) -> tuple[float, _Doubles]:
    logit = out[:, 0]
    losses = np.logaddexp(0, logit) - labels * logit
    return float(losses.mean()), (expit(logit) - labels)[:, None] / len(labels)


def _mse(out: _Doubles, labels: _Labels) -> tuple[float, _Doubles]:
    apart = out[:, 0] - labels
    return float(np.square(apart).mean()), 2 * apart[:, None] / len(labels)


_LOSSES: dict[TaskKind, _Loss] = {
    TaskKind.MULTICLASS: _cross_entropy,
    TaskKind.BINARY: _bce,
    TaskKind.REGRESSION: _mse,
}
