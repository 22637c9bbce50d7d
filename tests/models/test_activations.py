from __future__ import annotations

import pytest
import torch

from instar.core.data import InputSpec
from instar.models.activations import ACTIVATIONS
from instar.models.families.cnn import CNN
from instar.models.families.mlp import MLP
from instar.testing.contracts.families import unknown_name

X = torch.tensor([-2.0, -0.5, 0.0, 1.5])
WANTED = {
    "relu": X.clamp(min=0),
    "leaky_relu": torch.where(X > 0, X, 0.01 * X),
    "prelu": torch.where(X > 0, X, 0.25 * X),
    "gelu": X * (1 + torch.erf(X / 2**0.5)) / 2,
    "tanh": (X.exp() - (-X).exp()) / (X.exp() + (-X).exp()),
    "elu": torch.where(X > 0, X, X.exp() - 1),
}


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations_are_what_their_papers_say(name):
    torch.testing.assert_close(ACTIVATIONS[name]()(X), WANTED[name])


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations_stand_in_the_networks(name):
    kind = type(ACTIVATIONS[name]())
    dense = MLP(InputSpec(numbers=3), hidden=[4, 4], activation=name)
    assert [type(part) for part in dense.body][1::2] == [kind, kind]
    image = CNN(InputSpec(image=(1, 8, 8)), channels=[2], activation=name)
    assert [type(image.convolutions[1]), type(image.dense[1])] == [kind, kind]


def test_activations_name_what_they_know():
    unknown_name(ACTIVATIONS)
