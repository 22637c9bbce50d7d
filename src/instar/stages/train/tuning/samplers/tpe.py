"""Tree-structured Parzen estimator: where good trials are dense and bad ones are not."""

from __future__ import annotations

from optuna.samplers import BaseSampler, TPESampler

from instar.stages.train.tuning.samplers.sampler import Listed

_RANDOM = 5  # trials before the model; few, since a training costs more than a bad guess


def tpe(listed: Listed, seed: int, trial: int) -> BaseSampler:
    """Choose by the ratio of two densities, setting by setting.

    Source:
        Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization".
    """
    return TPESampler(n_startup_trials=_RANDOM, seed=trial)
