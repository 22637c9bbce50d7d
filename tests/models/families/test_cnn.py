from __future__ import annotations

import pytest
import torch

from instar.core.data import InputSpec
from instar.models.families.cnn import CNN, NoImage


def test_cnn_reads_pixels_and_table_columns():
    net = CNN(InputSpec(numbers=2, image=(3, 9, 8), outputs=2), channels=[4], hidden=5)
    numbers, image = torch.randn(2, 2), torch.randn(2, 3, 9, 8)
    base = net(numbers, image)
    assert not torch.equal(base, net(numbers + 1, image))
    assert not torch.equal(base, net(numbers, image + 1))


@pytest.mark.parametrize("image", [None, (1, 3, 8)])
def test_cnn_refuses_what_it_cannot_halve(image):
    with pytest.raises(NoImage, match="4 x 4"):
        CNN(InputSpec(image=image, outputs=2))
