"""Update rules: (parameter groups, learning rate, weight decay) -> optimiser.

A rule works weight by weight: it is handed all weights of a group as one long tensor. What it
remembers stands in tensors of its `state`, so that a checkpoint can carry it. To add one, copy
`adamw.py` and add a line here.
"""

from __future__ import annotations

from instar.core.family import Family
from instar.stages.train.optimizers.adagrad import adagrad
from instar.stages.train.optimizers.adam import adam
from instar.stages.train.optimizers.adamw import adamw
from instar.stages.train.optimizers.ftrl import ftrl
from instar.stages.train.optimizers.momentum import momentum
from instar.stages.train.optimizers.rmsprop import rmsprop
from instar.stages.train.optimizers.rule import Rule, Slots
from instar.stages.train.optimizers.sgd import sgd

OPTIMIZERS: Family[Rule] = Family(
    "optimizer",
    {
        "adamw": adamw,
        "adam": adam,
        "sgd": sgd,
        "momentum": momentum,
        "rmsprop": rmsprop,
        "adagrad": adagrad,
        "ftrl": ftrl,
    },
)

__all__ = ["OPTIMIZERS", "Rule", "Slots"]
