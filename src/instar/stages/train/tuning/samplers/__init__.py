"""Samplers: what chooses the settings of the next trial, from the trials before it.

A new one is made for each trial, from the trial's own seed: a tuning that goes on after a crash
has nothing to restore but its trials. To add one, copy `random.py` and add a line here.
"""

from __future__ import annotations

from instar.core.family import Family
from instar.stages.train.tuning.samplers.cmaes import cmaes
from instar.stages.train.tuning.samplers.gp import gp
from instar.stages.train.tuning.samplers.grid import grid
from instar.stages.train.tuning.samplers.nsga2 import nsga2
from instar.stages.train.tuning.samplers.random import random
from instar.stages.train.tuning.samplers.sampler import Listed, Sampler
from instar.stages.train.tuning.samplers.tpe import tpe

SAMPLERS: Family[Sampler] = Family(
    "sampler",
    {
        "tpe": tpe,
        "grid": grid,
        "random": random,
        "gp": gp,
        "cmaes": cmaes,
        "nsga2": nsga2,
    },
)

__all__ = ["SAMPLERS", "Listed", "Sampler"]
