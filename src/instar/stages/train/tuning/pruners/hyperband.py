"""Hyperband: many trials get few epochs, and the best of them the rest."""

from __future__ import annotations

from optuna.pruners import BasePruner, HyperbandPruner


def hyperband(epochs: int) -> BasePruner:
    """Halve successively, in brackets that begin with more and more epochs.

    Source:
        Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization".
    """
    return HyperbandPruner(min_resource=1, max_resource=epochs)
