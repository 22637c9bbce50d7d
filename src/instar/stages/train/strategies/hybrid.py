"""Hybrid: the head and the layer below it learn at the full rate, the rest at a tenth."""

from __future__ import annotations

from dataclasses import replace

from instar.core.policy import TrainPolicy
from instar.stages.train.strategies.incremental import incremental
from instar.stages.train.strategies.route import Case, Route


def hybrid(case: Case, policy: TrainPolicy) -> Route:
    """Fine-tune as `incremental` does, but hold the lower layers back."""
    return replace(incremental(case, policy), top=2, below=0.1)
