"""Full: new weights, trained on all rows there ever were."""

from __future__ import annotations

from instar.models import recipes
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual


def _route(case: Case) -> Route:
    recipe = recipes.full(case.recipe, case.fresh + case.old)
    return Route(recipe, start="anew", learn="all")


full = Strategy(
    "is trained from new weights on all rows there ever were",
    _route,
    Usual(gain=1.25, forgetting=0.05, flips=0.8, share=0.2),
    (Need.OLD,),
)
