"""None: every trial has all its epochs."""

from __future__ import annotations

from optuna.pruners import BasePruner, NopPruner


def none(epochs: int) -> BasePruner:
    """End no trial early."""
    return NopPruner()
