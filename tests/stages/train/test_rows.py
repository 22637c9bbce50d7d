from __future__ import annotations

import pytest
import torch

from instar.stages.train.rows import Rows, join, trusting


def rows(values, **more):
    column = torch.tensor(values)[:, None]
    return Rows((column,), column, **more)


def test_take_copies_every_part():
    source = rows([1.0, 2.0, 3.0], teacher=torch.eye(3), trust=torch.tensor([0.1, 0.2, 0.3]))
    got = source.take(torch.tensor([2, 0]))
    assert got.labels.flatten().tolist() == [3, 1]
    assert torch.equal(got.teacher, torch.eye(3)[[2, 0]])
    assert got.trust.tolist() == torch.tensor([0.3, 0.1]).tolist()


def test_join_trusts_only_rows_with_a_teacher():
    taught = trusting(rows([3.0], teacher=torch.tensor([[0.7]])), torch.ones(1))
    for first, second, trust in (
        (rows([1.0, 2.0]), taught, [0, 0, 1]),
        (taught, rows([1.0, 2.0]), [1, 0, 0]),
    ):
        joined = join(first, second)
        assert joined.trust.tolist() == trust
        assert joined.teacher[joined.trust.bool()].item() == torch.tensor(0.7).item()
    assert join(rows([1.0]), rows([2.0])).teacher is None


def test_trusting_keeps_the_larger_trust_and_needs_a_teacher():
    taught = rows([1.0, 2.0], teacher=torch.zeros(2, 1))
    once = trusting(taught, torch.tensor([0.3, 0.0]))
    assert trusting(once, torch.tensor([0.1, 0.2])).trust.tolist() == pytest.approx([0.3, 0.2])
    assert trusting(rows([1.0]), torch.ones(1)).trust is None
