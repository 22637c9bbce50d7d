"""Incremental: all layers go on from the champion, fresh rows beside replayed ones."""

from __future__ import annotations

from instar.core.policy import TrainPolicy
from instar.models import recipes
from instar.stages.train.strategies.route import Case, Route, allowed


def incremental(case: Case, policy: TrainPolicy) -> Route:
    """Fine-tune with replay, distillation and interpolation."""
    recipe = recipes.incremental(case.recipe, case.fresh, case.old, policy.replay_ratio)
    return Route(allowed(recipe, policy), methods=("replay", "distill", "interpolate"))
