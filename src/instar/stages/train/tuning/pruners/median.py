"""Median: a trial ends that is behind half of the others after as many epochs."""

from __future__ import annotations

from optuna.pruners import BasePruner, MedianPruner

_WHOLE = 3  # trials that are let run to their end, so that there is something to compare with


def median(epochs: int) -> BasePruner:
    """End a trial whose best epoch is worse than the median of the others at that epoch.

    Source:
        Golovin et al. 2017, "Google Vizier: A Service for Black-Box Optimization", section 3.1.
    """
    return MedianPruner(n_startup_trials=_WHOLE, n_warmup_steps=1)
