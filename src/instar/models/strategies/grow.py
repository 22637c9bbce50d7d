"""Grow: the champion's network in another shape, with its answers, goes on from there."""

from __future__ import annotations

from instar.models import recipes
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual


def _route(case: Case) -> Route:
    recipe = recipes.warm(case.recipe, case.fresh + case.old, image=case.image)
    return Route(recipe, learn="all", grow=True)


grow = Strategy(
    "is the champion made wider, deeper or with dropout, which goes on through all rows",
    _route,
    Usual(gain=0.95, forgetting=0.1, flips=0.5, share=0.2),
    (Need.OLD, Need.FAMILY),
)
"""
Source:
    Chen, Goodfellow and Shlens 2016, "Net2Net: Accelerating Learning via Knowledge Transfer".
"""
