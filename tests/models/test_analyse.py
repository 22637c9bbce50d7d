from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from instar.models.analyse import layers

X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)


def by_name(net, *inputs):
    return {layer.name: layer for layer in layers(net, inputs)}


def test_layers_count_parameters_and_flops_by_hand():
    found = by_name(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), X)
    assert [(x.kind, x.parameters, x.flops) for x in found.values()] == [
        ("Linear", 20, 2 * 3 * 5),
        ("ReLU", 0, 0),
        ("Linear", 12, 2 * 5 * 2),
    ]
    assert all(layer.time_us > 0 for layer in found.values())


def test_layers_count_convolution_by_hand():
    image = np.zeros((4, 2, 6, 6), np.float32)
    found = by_name(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten()), image)
    assert found["0"].flops == 2 * 3 * 36 * 2 * 9
    assert found["0"].parameters == 3 * 2 * 9 + 3


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.last(functional.relu(self.first(x))) * self.scale


@pytest.mark.parametrize("functional_relu", [True, False])
def test_layers_find_dead_units_behind_layers_and_functions(functional_relu):
    net = Functional()
    sequence = nn.Sequential(net.first, nn.ReLU(), net.last)
    with torch.no_grad():
        net.first.bias.copy_(torch.tensor([-100.0, 100.0, 100.0, 100.0]))
    found = by_name(net if functional_relu else sequence, X)
    name, last = ("first", "last") if functional_relu else ("0", "2")
    assert found[name].dead == 0.25
    assert found[last].dead is None


def test_layers_include_parameters_of_the_network_itself():
    found = by_name(Functional(), X)
    assert found[""].parameters == 1
    assert sum(layer.parameters for layer in found.values()) == 4 * 4 + 5 + 1


def test_layers_leave_the_network_as_it_was():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    layers(net, (X,))
    assert net.training
    assert not net[0]._forward_hooks
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
