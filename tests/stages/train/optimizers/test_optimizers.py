from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.ledger.safedir import SafeDir
from instar.stages.train import checkpoint, optimizers
from instar.stages.train.optimizers import OPTIMIZERS
from instar.testing.contracts.families import family_files, unknown_name

ALL = pytest.mark.parametrize("name", list(OPTIMIZERS))
RATES = {"adagrad": 1.0, "ftrl": 1.0}  # their own rate falls from the start


def made(name, weight, lr, decay=0.0):
    return OPTIMIZERS[name]([{"params": [weight], "scale": 1.0}], lr, decay)


def test_table_holds_every_file():
    family_files(OPTIMIZERS, optimizers, besides={"rule"})


def test_optimizers_name_what_they_know():
    unknown_name(OPTIMIZERS)


@ALL
def test_optimizers_find_the_bottom(name):
    weight = nn.Parameter(torch.tensor([3.0, -2.0]))
    rule = made(name, weight, RATES.get(name, 0.1))
    for step in range(400):
        rule.param_groups[0]["lr"] = RATES.get(name, 0.1) * (1 - step / 400)
        weight.grad = 2 * (weight.detach() - 1)
        rule.step()
    assert weight.detach().tolist() == pytest.approx([1, 1], abs=0.02)


@ALL
def test_optimizers_decay_a_weight_without_gradient(name):
    decayed = nn.Parameter(torch.ones(2))
    rule = made(name, decayed, 0.1, 0.5)
    decayed.grad = torch.zeros(2)
    rule.step()
    assert 0 < decayed.max() < 1


@ALL
def test_optimizers_leave_weights_alone_at_rate_nought(name):
    weight = nn.Parameter(torch.ones(2))
    rule = made(name, weight, 0.1)
    for rate in (0.0, 0.1, 0.0):
        before = weight.detach().clone()
        rule.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor([1.0, -2.0])
        rule.step()
        assert torch.equal(weight, before) == (rate == 0)


@ALL
def test_optimizers_go_on_bit_for_bit_from_a_checkpoint(tmp_path, name):
    def step(weight, rule, value):
        weight.grad = torch.full_like(weight, value)
        rule.step()

    first = nn.Parameter(torch.ones(3))
    rule = made(name, first, 0.1, 0.01)
    for value in (0.5, -0.3):
        step(first, rule, value)
    second = nn.Parameter(first.detach().clone())
    resumed = made(name, second, 0.1, 0.01)
    point = checkpoint.Checkpoint("key", checkpoint.pack(rule), {})
    checkpoint.save(SafeDir(tmp_path), point)
    kept, _ = checkpoint.load(SafeDir(tmp_path), "key")
    checkpoint.unpack(resumed, kept.tensors)
    for value in (0.2, 0.7):
        step(first, rule, value)
        step(second, resumed, value)
    assert torch.equal(first, second)
