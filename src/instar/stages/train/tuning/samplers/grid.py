"""Grid: every combination of the listed choices once, in an order drawn by the seed."""

from __future__ import annotations

from optuna.samplers import BaseSampler, GridSampler

from instar.stages.train.tuning.samplers.sampler import Listed


def grid(listed: Listed, seed: int, trial: int) -> BaseSampler:
    """Go through all combinations; the order is one for all trials.

    Source:
        LeCun et al. 1998, "Efficient BackProp", as the usual practice; its limits: Bergstra and
        Bengio 2012.
    """
    return GridSampler(listed, seed=seed)
