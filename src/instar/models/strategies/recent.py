"""Recent: what lay before the fresh rows is not served any more, and does not count."""

from __future__ import annotations

from instar.models import recipes
from instar.models.strategies.route import Case, Route, Strategy, Usual


def _route(case: Case) -> Route:
    recipe = recipes.incremental(case.recipe, case.fresh, case.old, replay_ratio=0.0)
    return Route(recipe, methods=("lwf",), settings={"lwf": 0.1})


recent = Strategy(
    "goes on from the champion on fresh rows alone; old ones may be forgotten",
    _route,
    Usual(gain=1.1, forgetting=0.4, flips=1.1),
)
