"""NSGA-II: a population whose better half is crossed and mutated."""

from __future__ import annotations

from optuna.samplers import BaseSampler, NSGAIISampler

from instar.stages.train.tuning.samplers.sampler import Listed

_POPULATION = 8  # small, since a generation must fit into the trials that people pay for


def nsga2(listed: Listed, seed: int, trial: int) -> BaseSampler:
    """Breed settings, numbers and choices alike; the first generation is random.

    Source:
        Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II".
    """
    return NSGAIISampler(population_size=_POPULATION, seed=trial)
