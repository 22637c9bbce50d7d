"""Random: every trial on its own."""

from __future__ import annotations

from optuna.samplers import BaseSampler, RandomSampler

from instar.stages.train.tuning.samplers.sampler import Listed


def random(listed: Listed, seed: int, trial: int) -> BaseSampler:
    """Draw every setting uniformly, or uniformly in its logarithm.

    Source:
        Bergstra and Bengio 2012, "Random Search for Hyper-Parameter Optimization".
    """
    return RandomSampler(seed=trial)
