"""Incremental-blind: no old row is left; the champion's own answers stand in for them."""

from __future__ import annotations

from dataclasses import replace

from instar.models import recipes
from instar.models.strategies.route import Case, Route, Strategy, Usual


def _route(case: Case) -> Route:
    recipe = recipes.incremental(case.recipe, case.fresh, case.old, replay_ratio=0.0)
    return Route(replace(recipe, replay_ratio=0.0), methods=("lwf", "interpolate_blind"))


incremental_blind = Strategy(
    "goes on from the champion on fresh rows alone, held near its answers and its weights",
    _route,
    Usual(gain=0.7, forgetting=0.2, flips=0.3),
)
