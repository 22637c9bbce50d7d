"""Training methods: what a strategy composes.

A method is one function `(ground, policy) -> Part`. To add one, copy `replay.py` and add a line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from instar.core.family import Family
from instar.core.policy import TrainPolicy
from instar.stages.train.methods.distill import distill
from instar.stages.train.methods.interpolate import interpolate
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.methods.replay import replay

Method: TypeAlias = Callable[[Ground, TrainPolicy], Part]

METHODS: Family[Method] = Family(
    "method", {"replay": replay, "distill": distill, "interpolate": interpolate}
)
