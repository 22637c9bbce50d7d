from __future__ import annotations

import inspect
import warnings

import optuna
import pytest

from instar.stages.train.tuning import samplers
from instar.stages.train.tuning.samplers import SAMPLERS
from instar.testing.contracts.families import family_files, unknown_name

LISTED = {"batch": [32, 64, 128], "rule": ["adamw", "sgd"]}


def chosen(name, trials=6, seed=0):
    """Search where 64 and adamw are best; each trial has a sampler of its own, as in a tuning."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name="tuning")

    def value(trial):
        batch = trial.suggest_categorical("batch", LISTED["batch"])
        return abs(batch - 64) + (trial.suggest_categorical("rule", LISTED["rule"]) == "sgd")

    for number in range(trials):
        study.sampler = SAMPLERS[name](LISTED, seed, 1000 * seed + number)
        study.optimize(value, n_trials=1)
    return [tuple(trial.params.items()) for trial in study.trials]


def test_table_holds_every_file():
    family_files(SAMPLERS, samplers, besides={"sampler"})


def test_samplers_name_what_they_know():
    unknown_name(SAMPLERS)


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_samplers_choose_the_same_again_and_say_where_they_are_from(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        assert chosen(name) == chosen(name)
    assert "Source:" in inspect.getdoc(SAMPLERS[name])


def test_grid_goes_through_all_combinations_once_in_an_order_of_its_seed():
    assert len(set(chosen("grid"))) == 6
    assert set(chosen("grid")) == set(chosen("grid", seed=1))
    assert chosen("grid") != chosen("grid", seed=1)
