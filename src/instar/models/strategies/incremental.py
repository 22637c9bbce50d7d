"""Incremental: all layers go on from the champion, fresh rows beside replayed ones."""

from __future__ import annotations

from instar.models import recipes
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual


def route(case: Case) -> Route:
    """Fine-tune with replay, distillation on replayed rows and interpolation."""
    recipe = recipes.incremental(case.recipe, case.fresh, case.old)
    return Route(recipe, methods=("replay", "distill", "interpolate"))


incremental = Strategy(
    "goes on from the champion, with replayed old rows and its answers on them",
    route,
    Usual(gain=0.95, forgetting=0.15, flips=0.5),
    (Need.SAMPLE,),
)
