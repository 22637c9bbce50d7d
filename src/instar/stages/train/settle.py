"""Settle a route: the policy's own numbers win over the strategy's."""

from __future__ import annotations

from dataclasses import replace

from instar.core.policy import TrainPolicy
from instar.models.strategies import Route


def settle(route: Route, policy: TrainPolicy) -> tuple[Route, TrainPolicy]:
    """Fill the policy's empty settings from the route, and the route's recipe from the policy.

    Example:
        >>> from instar.models.strategies import STRATEGIES, Case
        >>> route = STRATEGIES["hybrid"].route(Case({}, fresh=800, old=8_000))
        >>> route, policy = settle(route, TrainPolicy(epochs=3))
        >>> route.recipe.epochs, policy.top, policy.below
        (3, 2, 0.1)
    """
    empty = {k: v for k, v in route.settings.items() if getattr(policy, k) is None}
    recipe = route.recipe
    anew = route.start == "anew"
    settled = replace(
        recipe,
        lr=policy.lr or recipe.lr,
        batch=recipe.batch if policy.batch is None else policy.batch,
        epochs=policy.epochs or (policy.full_epochs if anew else recipe.epochs),
        replay_ratio=policy.replay_ratio if recipe.replay_ratio else 0.0,
    )
    added = (*policy.methods, *_augmented(route, policy))
    methods = (*route.methods, *(m for m in dict.fromkeys(added) if m not in route.methods))
    return replace(route, recipe=settled, methods=methods), replace(policy, **empty)


def _augmented(route: Route, policy: TrainPolicy) -> tuple[str, ...]:
    """Add the method that augments rows, where the policy names a way and steps are made."""
    return ("augment",) if policy.augment.kinds and route.fit == "steps" else ()
