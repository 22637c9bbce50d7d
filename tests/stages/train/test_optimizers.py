from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.stages.train.optimizers import OPTIMIZERS
from instar.testing.contracts.families import unknown_name


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_optimizers_find_the_bottom_and_decay(name):
    weight = nn.Parameter(torch.tensor([3.0, -2.0]))
    rule = OPTIMIZERS[name]([{"params": [weight], "scale": 1.0}], 0.1, 0.0)
    for _ in range(200):
        weight.grad = 2 * (weight.detach() - 1)
        rule.step()
    assert weight.detach().tolist() == pytest.approx([1, 1], abs=0.02)
    decayed = nn.Parameter(torch.ones(2))
    rule = OPTIMIZERS[name]([{"params": [decayed], "scale": 1.0}], 0.1, 0.5)
    decayed.grad = torch.zeros(2)
    rule.step()
    assert decayed.max() < 1


def test_optimizers_name_what_they_know():
    unknown_name(OPTIMIZERS)
