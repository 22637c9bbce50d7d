"""The share of a batch that each process of a team computes."""

from __future__ import annotations

import pytest
import torch

from instar.stages.train.team import Team


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("rows", [1, 3, 6, 7, 100])
def test_shares_are_the_batch_and_their_weights_are_one(size, rows):
    places = torch.arange(rows)
    shares = [Team(rank, size, 0, None).share(places) for rank in range(size)]
    assert sum(weight for _, weight in shares) == pytest.approx(1)
    if rows >= 2 * size:
        assert torch.equal(torch.cat([share for share, _ in shares]), places)
    weighed = sum(weight * share.float().mean() for share, weight in shares)
    assert weighed == pytest.approx(places.float().mean())
