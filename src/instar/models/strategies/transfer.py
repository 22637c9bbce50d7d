"""Transfer: few rows, so the training begins with weights that were learnt elsewhere."""

from __future__ import annotations

from instar.models import recipes
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual

FEW = 1_000
"""Training rows, old and fresh, below which the planner weighs it."""


def _route(case: Case) -> Route:
    """Fit the new head first, so that what was learnt elsewhere need not follow a random one."""
    recipe = recipes.full(case.recipe, case.fresh + case.old)
    return Route(recipe, start="anew", learn="all", methods=("pretrained", "head_first"))


transfer = Strategy(
    "begins with pretrained weights and a new head, and learns from all rows there ever were",
    _route,
    Usual(gain=1.0, forgetting=0.0, flips=0.8),
    (Need.OLD, Need.PRETRAINED),
)
"""What it is usually worth is a guess, near that of `full`: it hangs on the file.

Source:
    Yosinski et al. 2014, "How transferable are features in deep neural networks?"; Kumar et al.
    2022, "Fine-Tuning can Distort Pretrained Features", for the head that is fitted first.
"""
