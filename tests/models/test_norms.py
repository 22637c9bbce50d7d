from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.core.data import InputSpec
from instar.models.families.cnn import CNN
from instar.models.families.mlp import MLP
from instar.models.norms import NORMS
from instar.testing.contracts.families import unknown_name


@pytest.mark.parametrize(
    ("name", "shape", "over"),
    [
        ("batch", (50, 6), (0,)),
        ("layer", (50, 6), (1,)),
        ("batch", (50, 3, 4, 4), (0, 2, 3)),
        ("layer", (50, 3, 4, 4), (1, 2, 3)),
    ],
)
def test_norms_leave_mean_0_and_variance_1(name, shape, over):
    torch.manual_seed(0)
    (norm,) = NORMS[name](shape[1], maps=len(shape) == 4)
    out = norm(torch.randn(shape) * 3 + 5)
    mean, variance = out.mean(over), out.var(over, unbiased=False)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(variance, torch.ones_like(variance), atol=1e-3, rtol=0)


def test_norms_stand_before_the_activation():
    dense = MLP(InputSpec(numbers=3), hidden=[4], norm="layer")
    kinds = [nn.Linear, nn.LayerNorm, nn.ReLU]
    assert [type(part) for part in dense.body] == kinds
    image = CNN(InputSpec(image=(1, 8, 8)), channels=[2], norm="batch")
    kinds = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d]
    assert [type(part) for part in image.convolutions] == kinds
    assert isinstance(image.dense[1], nn.BatchNorm1d)
    assert NORMS["none"](4, maps=False) == []


def test_norms_name_what_they_know():
    unknown_name(NORMS)
