"""CMA-ES: an evolution strategy that learns which numbers move together."""

from __future__ import annotations

from optuna.samplers import BaseSampler, CmaEsSampler

from instar.stages.train.tuning.samplers.sampler import Listed


def cmaes(listed: Listed, seed: int, trial: int) -> BaseSampler:
    """Draw from a normal distribution that follows the best; choices without order at random.

    Source:
        Hansen and Ostermeier 2001, "Completely Derandomized Self-Adaptation in Evolution
        Strategies".
    """
    return CmaEsSampler(seed=trial, warn_independent_sampling=False)
