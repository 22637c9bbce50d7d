"""Adapt-stats: no labels; the statistics of batch normalisation move half-way to fresh rows."""

from __future__ import annotations

from dataclasses import replace

from instar.models import recipes
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual


def _route(case: Case) -> Route:
    recipe = replace(recipes.incremental(case.recipe, case.fresh, case.old), replay_ratio=0.0)
    return Route(recipe, fit="none", methods=("statistics",))


adapt_stats = Strategy(
    "is the champion with its normalisation moved half-way to the fresh rows; no label is read",
    _route,
    Usual(gain=1.0, forgetting=1.0, flips=1.0, of="statistics"),
    (Need.STATISTICS,),
)
"""
Source:
    Li et al. 2018, "Adaptive Batch Normalization for practical domain adaptation".
"""
