from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import nn

from instar.stages.train.optimizers.ftrl import Ftrl

GRADIENTS = [0.7, -0.2, 1.1, 0.4]
RATES = [0.5, 0.8, 0.3, 0.1]


def path(start, l1, l2):
    weight = nn.Parameter(torch.tensor([start], dtype=torch.float64))
    rule, seen = Ftrl([{"params": [weight]}], lr=RATES[0], l1=l1, l2=l2), [start]
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        rule.param_groups[0]["lr"] = rate
        weight.grad = torch.full_like(weight, gradient)
        rule.step()
        seen.append(weight.item())
    return seen


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.3, 0.0), (0.1, 0.4)])
def test_ftrl_minimises_what_its_docstring_says(l1, l2):
    seen = path(0.9, l1, l2)
    strengths, before, squares = [], 0.0, 0.0
    strengths.append(1 / RATES[0])  # holds the start
    before = strengths[0]
    places = [seen[0]]
    for step, (gradient, rate) in enumerate(zip(GRADIENTS, RATES, strict=True)):
        squares += gradient**2
        now = (1 + math.sqrt(squares)) / rate
        strengths.append(now - before)
        places.append(seen[step])
        before = now
        linear = sum(GRADIENTS[: step + 1])
        s, w = np.array(strengths), np.array(places)

        def whole(x, linear=linear, s=s, w=w):
            proximal = (s * (x - w) ** 2).sum() / 2
            return linear * x + proximal + l1 * abs(x) + l2 * x**2 / 2

        least = minimize_scalar(whole, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10})
        assert seen[step + 1] == pytest.approx(least.x, abs=1e-6)


def test_ftrl_makes_weights_exactly_nought():
    assert path(0.01, 3.0, 0.0)[1:] == [0.0] * 4
