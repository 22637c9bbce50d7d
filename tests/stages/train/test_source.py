from __future__ import annotations

import dataclasses

import torch

from instar.stages.train.source import batches
from tests.stages.train.test_loop import PLAIN


def test_batches_deal_every_fresh_row_once_and_replay_evenly():
    course = dataclasses.replace(PLAIN, batch=32, replay_ratio=0.5)
    dealt = list(batches(torch.Generator().manual_seed(0), 100, 110, course))
    places = torch.cat(dealt)
    fresh = places[places < 100]
    assert sorted(fresh.tolist()) == list(range(100))
    assert [int((batch >= 100).sum()) for batch in dealt] == [16] * 4
    counts = torch.bincount(places[places >= 100] - 100, minlength=10)
    assert counts.min() >= 6  # 64 drawn from 10 in whole decks
    assert counts.max() <= 7


def test_batches_never_leave_a_lone_row():
    course = dataclasses.replace(PLAIN, batch=32)
    sizes = [len(batch) for batch in batches(torch.Generator(), 33, 33, course)]
    assert sizes == [17, 16]
