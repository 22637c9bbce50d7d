"""What an update rule is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch.optim import Optimizer

Slots: TypeAlias = list[dict[str, Any]]
Rule: TypeAlias = Callable[[Slots, float, float], Optimizer]
"""(parameter groups, learning rate, weight decay) -> optimiser."""
