"""Pruners: what ends a trial early that falls behind the others.

They hear the loss on validation rows after each epoch. To add one, copy `median.py` and add a
line here.
"""

from __future__ import annotations

from instar.core.family import Family
from instar.stages.train.tuning.pruners.hyperband import hyperband
from instar.stages.train.tuning.pruners.median import median
from instar.stages.train.tuning.pruners.none import none
from instar.stages.train.tuning.pruners.pruner import Pruner

PRUNERS: Family[Pruner] = Family(
    "pruner",
    {
        "median": median,
        "hyperband": hyperband,
        "none": none,
    },
)

__all__ = ["PRUNERS", "Pruner"]
