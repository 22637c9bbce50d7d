"""Courses of the learning rate: moment of the training -> share of the peak.

They are pure functions, so a resumed training has nothing to restore. To add one, copy
`linear.py` and add a line here.
"""

from __future__ import annotations

from instar.core.family import Family
from instar.stages.train.schedules.constant import constant
from instar.stages.train.schedules.cosine import cosine
from instar.stages.train.schedules.cosine_restarts import cosine_restarts
from instar.stages.train.schedules.exponential import exponential
from instar.stages.train.schedules.linear import linear
from instar.stages.train.schedules.moment import Moment, Schedule
from instar.stages.train.schedules.plateau import plateau
from instar.stages.train.schedules.step import step
from instar.stages.train.schedules.warmup import warmup

SCHEDULES: Family[Schedule] = Family(
    "schedule",
    {
        "cosine": cosine,
        "linear": linear,
        "constant": constant,
        "step": step,
        "exponential": exponential,
        "cosine_restarts": cosine_restarts,
        "warmup": warmup,
        "plateau": plateau,
    },
)

__all__ = ["SCHEDULES", "Moment", "Schedule"]
