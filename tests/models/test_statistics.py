from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.models.statistics import half_way, layers


def test_half_way_lies_between_what_was_and_what_the_rows_say():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1), nn.Dropout(0.5)).train()
    norm, weights = net[0], net[1].weight.clone()
    with torch.no_grad():
        norm.running_mean.fill_(2.0)
        norm.running_var.fill_(9.0)
    rows = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)) * 2 + 6
    before = norm.running_mean
    assert half_way(net, (rows,)) == 1
    # Batches of 512 and 488: a plain mean over them, which nearly is the mean over the rows.
    assert norm.running_mean.numpy() == pytest.approx(0.5 * (2 + rows.mean(0)).numpy(), abs=0.01)
    assert norm.running_var.numpy() == pytest.approx(0.5 * (9 + rows.var(0)).numpy(), abs=0.05)
    assert (before == 2.0).all()
    assert norm.momentum == 0.1
    assert torch.equal(net[1].weight, weights)
    assert not any(module.training for module in net.modules())


def test_layers_are_those_that_keep_statistics():
    net = nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False), nn.LayerNorm(3))
    assert layers(net) == []
    assert half_way(net, (torch.randn(4, 3),)) == 0
