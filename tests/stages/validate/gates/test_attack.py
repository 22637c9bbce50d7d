from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from instar.core.data import CategoryColumn, ImageColumn, NumberColumn, Preprocessing, TaskKind
from instar.core.policy import AttackRule
from instar.stages.validate.gates.attack import pgd, raw

RULE = AttackRule(radius=0.05)
IMAGE = Preprocessing(image=ImageColumn("scan", 4, 4, "L", 2 / 255, -1.0))
COLOUR = Preprocessing(image=ImageColumn("scan", 4, 4, "RGB", 2 / 255, -1.0))


def pictures(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (6, channels, 4, 4))
    return (pixels * (2 / 255) - 1.0).astype(np.float32), pixels


def test_pgd_stays_in_the_ball_and_in_the_range_of_pixels():
    torch.manual_seed(0)
    inputs, _ = pictures(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    labels = np.array([0, 1, 2, 0, 1, 2])
    [moved] = pgd(network, (inputs,), labels, IMAGE, RULE, seed=0, kind=TaskKind.MULTICLASS)
    assert np.abs(moved - inputs).max() <= RULE.radius + 1e-6
    assert np.abs(moved).max() <= 1 + 1e-6
    losses = [
        nn.functional.cross_entropy(network(torch.tensor(x)), torch.tensor(labels)).item()
        for x in (inputs, moved)
    ]
    assert losses[1] > losses[0]


def test_pgd_leaves_codes_and_onehot_places_alone():
    how = Preprocessing(
        numbers=(NumberColumn("x", 0, 1, 0),),
        categories=(CategoryColumn("c", ("a", "b")),),
        onehot=True,
    )
    inputs = np.array([[0.3, 1.0, 0.0], [0.1, 0.0, 1.0]], np.float32)
    [moved] = pgd(
        nn.Linear(3, 1), (inputs,), np.array([0, 1]), how, RULE, seed=0, kind=TaskKind.BINARY
    )
    np.testing.assert_array_equal(moved[:, 1:], inputs[:, 1:])
    assert (moved[:, 0] != inputs[:, 0]).all()


@pytest.mark.parametrize(("how", "channels"), [(IMAGE, 1), (COLOUR, 3)])
def test_raw_pixels_are_those_that_give_the_inputs(how, channels):
    inputs, pixels = pictures(channels)
    expected = pixels[:, 0] if channels == 1 else np.moveaxis(pixels, 1, -1)
    found = raw((inputs,), how)["scan"]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_raw_numbers_are_those_that_give_the_inputs():
    how = Preprocessing(numbers=(NumberColumn("x", 0, 0.5, 2.0), NumberColumn("flat", 0, 0, 1.0)))
    columns = raw((np.array([[3.0, 1.0]], np.float32),), how)
    assert {name: values.tolist() for name, values in columns.items()} == {"x": [2.0]}
