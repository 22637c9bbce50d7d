from __future__ import annotations

import optuna
import pytest

from instar.stages.train.tuning import pruners
from instar.stages.train.tuning.pruners import PRUNERS
from instar.testing.contracts.families import family_files, unknown_name

EPOCHS = 9


def ended(name, values):
    """Let trials run that stay at their values; list after how many epochs each has ended."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(study_name="tuning", sampler=sampler, pruner=PRUNERS[name](EPOCHS))
    epochs = []
    for value in values:
        trial = study.ask()
        for epoch in range(1, EPOCHS + 1):
            trial.report(value, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, value)
        epochs.append(epoch)
    return epochs


def test_table_holds_every_file():
    family_files(PRUNERS, pruners, besides={"pruner"})


def test_pruners_name_what_they_know():
    unknown_name(PRUNERS)


def test_median_ends_whoever_is_behind_half_of_the_others():
    assert ended("median", [1, 2, 3, 5, 0.5, 4]) == [9, 9, 9, 1, 9, 1]


def test_hyperband_gives_few_of_many_trials_all_epochs():
    epochs = ended("hyperband", range(30))
    assert 3 <= epochs.count(EPOCHS) < 15
    assert min(epochs) == 1


@pytest.mark.parametrize("values", [[1, 2, 3, 9, 9, 9]])
def test_none_ends_nobody(values):
    assert ended("none", values) == [EPOCHS] * len(values)
