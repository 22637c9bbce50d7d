from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.models.overfitting import Sample, gaps


def rows(count: int, seed: int, width: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw rows whose label is half a line, half chance."""
    chance = torch.Generator().manual_seed(seed)
    numbers = torch.randn(count, width, generator=chance)
    noise = width**0.5 * torch.randn(count, generator=chance)
    return numbers, ((numbers.sum(dim=1) + noise) > 0).float()[:, None]


def trained(steps: int, numbers: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(numbers.shape[1], 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 1)
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = nn.functional.binary_cross_entropy_with_logits(net(numbers), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def test_gaps_find_the_layers_that_remember_rows() -> None:
    numbers, labels = rows(600, 1)
    other, others = rows(1200, 2)
    samples = Sample((numbers,), labels), Sample((other,), others)

    fresh, learnt = (gaps(trained(steps, numbers, labels), *samples) for steps in (0, 400))

    assert list(learnt) == ["0", "2", "4"]
    assert all(abs(gap.value) < 0.1 for gap in fresh.values())
    assert learnt["4"].low > 0.1
    assert learnt["4"].value > learnt["2"].value > learnt["0"].value
    assert learnt["4"].low < learnt["4"].value


def test_rows_that_are_easier_are_not_taken_for_learnt_ones() -> None:
    chance = torch.Generator().manual_seed(3)
    other, others = rows(1200, 2)
    easy = torch.randn(600, 20, generator=chance)
    labels = (easy.sum(dim=1) > 0).float()[:, None]
    net = trained(60, *rows(2000, 4))  # it learnt from neither

    found = gaps(net, Sample((easy,), labels), Sample((other,), others))

    assert all(gap.low < 0.1 for gap in found.values())


def test_gaps_pool_images_and_sequences_and_leave_the_network_as_it_was() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.see, self.drop = nn.Conv2d(1, 4, 3), nn.Dropout()
            self.read, self.last = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            seen = self.drop(self.see(pixels)).flatten(2).transpose(1, 2)  # (n, t, 4)
            out: torch.Tensor = self.last(self.read(seen)[0][:, -1])
            return out

    net, chance = Net().train(), torch.Generator().manual_seed(0)
    pixels = torch.randn(400, 1, 6, 6, generator=chance)
    classes = nn.functional.one_hot(torch.randint(0, 3, (400,), generator=chance)).float()

    found = gaps(
        net, Sample((pixels[:200],), classes[:200]), Sample((pixels[200:],), classes[200:])
    )

    assert list(found) == ["see", "read", "last"]
    assert net.training
    assert not any(layer._forward_hooks for layer in net.modules())


@pytest.mark.parametrize("case", ["few", "one class", "unknown"])
def test_gaps_say_nothing_where_nothing_can_be_known(case: str) -> None:
    numbers, labels = rows(50 if case == "few" else 400, 1)
    if case == "one class":
        labels = torch.ones_like(labels)
    if case == "unknown":
        labels = labels.clone()
        labels[3] = float("nan")

    sample = Sample((numbers,), labels)

    assert gaps(trained(0, numbers, labels), sample, sample) == {}
