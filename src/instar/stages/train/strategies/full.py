"""Full: new weights, trained on all rows there ever were."""

from __future__ import annotations

from dataclasses import replace

from instar.core.policy import TrainPolicy
from instar.models import recipes
from instar.stages.train.strategies.route import Case, Route, allowed


def full(case: Case, policy: TrainPolicy) -> Route:
    """Train from scratch for `policy.full_epochs`."""
    recipe = allowed(recipes.full(case.recipe, case.fresh + case.old), policy)
    return Route(replace(recipe, epochs=policy.full_epochs), scratch=True)
