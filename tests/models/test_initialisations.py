from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from instar.core.data import InputSpec
from instar.models.families.cnn import CNN
from instar.models.families.mlp import MLP
from instar.models.initialisations import INITIALISATIONS, initialise
from instar.testing.contracts.families import unknown_name


@pytest.mark.parametrize(
    ("name", "deviation"), [("xavier", math.sqrt(2 / (300 + 200))), ("he", math.sqrt(2 / 300))]
)
def test_initialise_draws_with_the_variance_of_the_paper(name, deviation):
    torch.manual_seed(0)
    layer = nn.Linear(300, 200)
    initialise(layer, name)
    assert layer.weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.002)
    assert not layer.bias.any()


def test_initialise_orthogonal_keeps_lengths():
    layer = nn.Linear(20, 30, bias=False)
    initialise(layer, "orthogonal")
    x = torch.randn(20)
    assert layer(x).norm().item() == pytest.approx(x.norm().item(), rel=1e-4)


def test_initialise_reaches_every_dense_and_convolutional_layer():
    torch.manual_seed(0)
    spec = InputSpec(categories=(4,), image=(1, 8, 8))
    plain = CNN(spec)
    torch.manual_seed(0)
    drawn = CNN(spec, initialisation="he")
    before, after = plain.state_dict(), drawn.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {"embeddings.tables.0.weight"}


def test_initialise_default_leaves_the_weights_that_were_drawn():
    torch.manual_seed(0)
    first = MLP(InputSpec(numbers=3)).state_dict()
    torch.manual_seed(0)
    second = MLP(InputSpec(numbers=3), initialisation="default").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_initialisations_name_what_they_know():
    unknown_name(INITIALISATIONS)
