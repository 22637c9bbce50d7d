from __future__ import annotations

import dataclasses

import pytest

from instar.core import space
from instar.core.errors import PolicyError
from instar.core.policy import TrainPolicy, TuneRule
from instar.core.space import (
    KEPT,
    BeyondBounds,
    EmptyRange,
    EmptySpace,
    NotARange,
    Range,
    UnknownSetting,
    UnlistedGrid,
    read,
    tunable,
)

MISTAKES = [
    ({"lrr": [0.1, 0.2]}, UnknownSetting, "did you mean 'lr'?"),
    ({"threads": [1, 2]}, UnknownSetting, "which changes no weight"),
    ({"network.": [1, 2]}, UnknownSetting, "network.OPTION"),
    ({"lr": "1e-2..1e-3"}, EmptyRange, "'1e-2..1e-3'"),
    ({"lr": "0.1..0.1"}, EmptyRange, "'0.1..0.1'"),
    ({"lr": []}, EmptyRange, "[]"),
    ({"lr": "fast"}, NotARange, "'fast'"),
    ({"lr": "0.1..nan"}, NotARange, "'0.1..nan'"),
    ({"lr": "0.1..inf"}, NotARange, "'0.1..inf'"),
    ({"lr": ["high", "low"]}, NotARange, "each a number"),
    ({"lr": 0.1}, NotARange, "low..high"),
    ({"epochs": "2..4.5"}, NotARange, "whole numbers"),
    ({"epochs": [2, 2.5]}, NotARange, "each a whole number"),
    ({"optimizer": "adam..sgd"}, NotARange, "a list"),
    ({"interpolate": ["yes", "no"]}, NotARange, "true or false"),
    ({"network.hidden": [["64"], ["32"]]}, NotARange, "list of whole numbers"),
    ({"lr": "0..0.1"}, BeyondBounds, "above 0"),
    ({"lr": [0.1, -1]}, BeyondBounds, "-1"),
    ({"label_smoothing": "0..1"}, BeyondBounds, "below 1"),
    ({"weight_decay": "0..0.1 log"}, BeyondBounds, "since it is log"),
    ({"lr": [0.1], "network.hidden": [[64]]}, EmptySpace, "at least two values"),
]


@pytest.mark.parametrize(("given", "error", "told"), MISTAKES, ids=[str(m[0]) for m in MISTAKES])
def test_read_refuses_a_space_with_a_mistake_and_says_which(given, error, told):
    with pytest.raises(error) as caught:
        read(TuneRule(space=given))
    assert isinstance(caught.value, PolicyError)
    assert told in str(caught.value)


def test_read_refuses_a_grid_over_a_range_without_an_end():
    with pytest.raises(UnlistedGrid, match=r"tune\.space\.lr"):
        read(TuneRule(sampler="grid", space={"lr": "0.1..0.2", "batch": [1, 2]}))
    assert read(TuneRule(sampler="grid", space={"lr": [0.1, 0.2]}))


def test_read_takes_options_of_the_network_in_both_ways():
    inside = read(TuneRule(space={"network": {"hidden": [[64], (64, 32)], "dropout": "0.3..0.5"}}))
    beside = read(
        TuneRule(space={"network.hidden": [[64], [64, 32]], "network.dropout": "0.3..0.5"})
    )
    assert inside == beside
    assert inside["network.hidden"] == Range(choices=([64], [64, 32]))
    assert not inside["network.dropout"].whole


def test_read_tells_whole_numbers_from_fractions():
    made = read(TuneRule(space={"batch": "16..512 log", "lr": "1..2", "network.depth": "1..4"}))
    assert made["batch"] == Range(low=16, high=512, log=True, whole=True)
    assert (made["lr"].whole, made["network.depth"].whole) == (False, True)


def test_settings_are_tunable_or_kept_for_a_reason():
    fields = {field.name for field in dataclasses.fields(TrainPolicy)}
    assert {*tunable(), *KEPT} == fields
    assert all(space.KEPT.values())
