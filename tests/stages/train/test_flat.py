from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.stages.train.flat import Flat


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))


@pytest.mark.parametrize("largest", [1e-3, 1e3])
def test_clip_agrees_with_torch(largest):
    ours, theirs, x = net(), net(), torch.randn(5, 3)
    flat = Flat([list(ours[1].parameters()), list(ours[0].parameters())])
    flat.clear()
    ours(x).sum().backward()
    theirs(x).sum().backward()
    norm = torch.zeros(())
    flat.clip(largest, norm)
    wanted = nn.utils.clip_grad_norm_(theirs.parameters(), largest)
    torch.testing.assert_close(norm, wanted)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_flat_tensors_are_the_networks_weights():
    module = net()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    flat = Flat([list(module.parameters())])
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    with torch.no_grad():
        flat.tensors[0].zero_()
    assert all(not tensor.any() for tensor in module.state_dict().values())


def test_flat_keeps_tied_weights_tied():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    Flat([list(module.parameters())])
    assert module[1].weight is module[0].weight
