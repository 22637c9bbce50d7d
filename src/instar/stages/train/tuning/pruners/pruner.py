"""What a pruner is given: how many epochs a trial may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from optuna.pruners import BasePruner

Pruner: TypeAlias = Callable[[int], BasePruner]
"""(epochs of the longest trial) -> Optuna's pruner."""
