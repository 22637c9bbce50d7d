"""Hybrid: the key layers, those on top, learn at the full rate, the rest at a tenth."""

from __future__ import annotations

from dataclasses import replace

from instar.models.strategies import incremental
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual


def _route(case: Case) -> Route:
    """Slow the lower layers down; where classes came new, learn longer and interpolate nothing."""
    route, top = incremental.route(case), {"top": 2, "below": 0.1}
    if not case.classes_added:
        methods = ("replay", "distill", "discriminate", "interpolate")
        return replace(route, methods=methods, settings=top)
    grown = ("replay_balanced", "distill", "head_first", "discriminate")
    longer = replace(route.recipe, epochs=2 * route.recipe.epochs)
    return replace(route, recipe=longer, methods=grown, settings=top)


hybrid = Strategy(
    "goes on from the champion; the head and the block below it learn fully, the rest slowly",
    _route,
    Usual(gain=0.65, forgetting=0.1, flips=0.4),
    (Need.SAMPLE,),
)
