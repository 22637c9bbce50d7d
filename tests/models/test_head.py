"""The head is refitted by the gradient written out: it must be that of the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import check_grad
from torch import nn

from instar.core.data import TaskKind
from instar.models.head import _LOSSES, refit

RNG = np.random.default_rng(7)
LABELS = {
    TaskKind.MULTICLASS: RNG.integers(0, 3, 20),
    TaskKind.BINARY: RNG.integers(0, 2, 20),
    TaskKind.REGRESSION: RNG.normal(size=20),
}


@pytest.mark.parametrize("kind", LABELS)
def test_gradient_is_that_of_the_loss(kind):
    width = 3 if kind is TaskKind.MULTICLASS else 1

    def value(flat):
        return _LOSSES[kind](flat.reshape(20, width), LABELS[kind])[0]

    def slope(flat):
        return _LOSSES[kind](flat.reshape(20, width), LABELS[kind])[1].ravel()

    assert check_grad(value, slope, RNG.normal(size=20 * width)) < 1e-6


@pytest.mark.parametrize("bias", [True, False])
def test_head_without_bias_is_fitted_without_one(bias):
    torch.manual_seed(0)
    features = torch.randn(200, 4)
    head = nn.Linear(4, 1, bias=bias)
    fitted = refit(head, features, features[:, 0].numpy() * 2, TaskKind.REGRESSION)
    assert (fitted.bias is not None) == bias
    assert fitted.weight.dtype is torch.float32
    # The pull of 1e-3 towards the head as it was takes a thousandth of the way back.
    assert fitted.weight.detach().numpy() == pytest.approx(np.array([[2.0, 0, 0, 0]]), abs=0.01)
