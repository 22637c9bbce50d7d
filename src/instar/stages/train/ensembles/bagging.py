"""Bagging: each member learns from rows drawn with replacement; their answers are averaged."""

from __future__ import annotations

from dataclasses import replace

import torch

from instar.stages.train.attempt import Attempt
from instar.stages.train.ensembles.kind import Kind, Team
from instar.stages.train.ensembles.mean import joining


def drawn(attempt: Attempt, team: Team, seed: int) -> Attempt:
    """Draw as many rows as there are to learn from, some of them more than once.

    Replayed rows are dealt by chance already, and stay.
    """
    fresh = len(attempt.start.learn)
    random = torch.Generator().manual_seed(seed)
    places = torch.randint(fresh, (fresh,), generator=random)
    rest = torch.arange(fresh, len(attempt.rows))
    return replace(attempt, rows=attempt.rows.take(torch.cat([places, rest])))


bagging = Kind(
    "on rows drawn with replacement answer with their mean", "mean", joining("mean"), vary=drawn
)
"""
Source:
    Breiman 1996, "Bagging Predictors".
"""
