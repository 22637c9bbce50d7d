"""What a sampler is given: the values to choose from, where they are listed, and a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from optuna.samplers import BaseSampler

Listed: TypeAlias = Mapping[str, Sequence[float | int | str | bool]]
"""The choices of those settings that have any; for a grid, of all."""
Sampler: TypeAlias = Callable[[Listed, int, int], BaseSampler]
"""(listed choices, seed of the tuning, seed of the trial) -> Optuna's sampler."""
