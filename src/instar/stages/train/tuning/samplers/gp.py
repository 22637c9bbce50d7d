"""Gaussian process: a smooth model of the loss, asked where the gain is likely largest."""

from __future__ import annotations

from optuna.samplers import BaseSampler, GPSampler

from instar.stages.train.tuning.samplers.sampler import Listed

_RANDOM = 5  # trials before the model


def gp(listed: Listed, seed: int, trial: int) -> BaseSampler:
    """Choose by expected improvement; some seconds of its own a trial, for dear trainings.

    Source:
        Snoek, Larochelle and Adams 2012, "Practical Bayesian Optimization of Machine Learning
        Algorithms".
    """
    return GPSampler(n_startup_trials=_RANDOM, seed=trial)
