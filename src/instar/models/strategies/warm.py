"""Warm: all rows there ever were, from the champion's weights, in a quarter of the epochs."""

from __future__ import annotations

from instar.models import recipes
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual


def _route(case: Case) -> Route:
    recipe = recipes.warm(case.recipe, case.fresh + case.old, image=case.image)
    return Route(recipe, learn="all", methods=("shrink",) if case.image else ())


warm = Strategy(
    "goes on from the champion through all rows there ever were, for a quarter of the epochs",
    _route,
    Usual(gain=1.15, forgetting=0.05, flips=0.55, share=0.2),
    (Need.OLD,),
)
"""
Source:
    Ash and Adams 2020, "On Warm-Starting Neural Network Training", for what images need.
"""
