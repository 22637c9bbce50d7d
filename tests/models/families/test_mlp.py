from __future__ import annotations

import torch

from instar.core.data import InputSpec
from instar.models.families.mlp import MLP


def test_mlp_learns_a_category_effect():
    torch.manual_seed(0)
    net = MLP(InputSpec(categories=(3,), outputs=1), hidden=[8])
    codes = torch.randint(0, 3, (300, 1))
    wanted = torch.tensor([0.0, 5.0, -5.0])[codes]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(200):
        loss = (net(codes) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


def test_mlp_drops_only_while_training():
    net = MLP(InputSpec(numbers=4), hidden=[64], dropout=0.5)
    x = torch.ones(1, 4)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))
