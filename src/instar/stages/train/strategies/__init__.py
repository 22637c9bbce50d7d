"""Strategies: how a successor comes to be.

A strategy is one function `(case, policy) -> Route`. `keep` is a plan without a training, so it
has no entry. To add one, copy `incremental.py` and add a line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from instar.core.family import Family
from instar.core.policy import TrainPolicy
from instar.stages.train.strategies.full import full
from instar.stages.train.strategies.hybrid import hybrid
from instar.stages.train.strategies.incremental import incremental
from instar.stages.train.strategies.route import Case, Route

Strategy: TypeAlias = Callable[[Case, TrainPolicy], Route]

STRATEGIES: Family[Strategy] = Family(
    "strategy", {"incremental": incremental, "hybrid": hybrid, "full": full}
)
