"""The page of the training lists what can be chosen, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from instar.models.activations import ACTIVATIONS
from instar.models.families import NETWORKS
from instar.models.initialisations import INITIALISATIONS
from instar.models.norms import NORMS
from instar.models.strategies import STRATEGIES
from instar.stages.train.devices import DEVICES
from instar.stages.train.losses import FITTING, LOSSES
from instar.stages.train.methods import METHODS
from instar.stages.train.optimizers import OPTIMIZERS
from instar.stages.train.schedules import SCHEDULES
from instar.stages.train.tuning.pruners import PRUNERS
from instar.stages.train.tuning.samplers import SAMPLERS

PAGE = (Path(__file__).parents[2] / "docs/stages/train.md").read_text("utf-8")
TABLES = {
    "strategy": STRATEGIES,
    "method": METHODS,
    "optimiser": OPTIMIZERS,
    "schedule": SCHEDULES,
    "loss": LOSSES,
    "family": NETWORKS,
    "sampler": SAMPLERS,
    "pruner": PRUNERS,
    "device": DEVICES,
}
OPTIONS = {"activation": ACTIVATIONS, "initialisation": INITIALISATIONS, "norm": NORMS}


def rows(title):
    [table] = re.findall(rf"^\| {title} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return {line.split("`")[1]: line for line in table.splitlines()}


@pytest.mark.parametrize("title", list(TABLES))
def test_page_lists_every_member(title):
    assert set(rows(title)) == set(TABLES[title])


@pytest.mark.parametrize("option", list(OPTIONS))
def test_page_lists_every_choice_of_an_option(option):
    [_, choices] = rows("option")[option].split(" | ")
    assert set(re.findall("`([^`]+)`", choices)) == set(OPTIONS[option])


def test_page_says_which_loss_fits_which_task():
    for name, line in rows("loss").items():
        fits = {kind.value for kind, names in FITTING.items() if name in names}
        assert {kind.value for kind in FITTING if kind.value in line} == fits
