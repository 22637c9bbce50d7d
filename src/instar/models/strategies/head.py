"""Head: the last layer alone is fitted again, on cached features."""

from __future__ import annotations

from instar.models import recipes
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual


def _route(case: Case) -> Route:
    recipe = recipes.incremental(case.recipe, case.fresh, case.old)
    return Route(recipe, fit="head", methods=("replay",))


head = Strategy(
    "is the champion with its last layer refitted on fresh and replayed rows",
    _route,
    Usual(gain=0.75, forgetting=0.1, flips=0.2, of="head"),
    (Need.HEAD,),
)
"""
Source:
    Kirichenko et al. 2023, "Last Layer Re-Training is Sufficient for Robustness to Spurious
    Correlations".
"""
