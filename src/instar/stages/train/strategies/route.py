"""What a strategy is given, and what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from instar.core.policy import TrainPolicy
from instar.models.recipes import Recipe


@dataclass(frozen=True, slots=True)
class Case:
    """The champion's recipe, and training rows: fresh and old."""

    recipe: Mapping[str, float]
    fresh: int
    old: int


@dataclass(frozen=True, slots=True)
class Route:
    """Where the training starts, what it reads, and how.

    `scratch`: new weights, and all rows count as fresh. `methods` names what is composed. The
    `top` layers learn at the full rate, those below at `below` times it.
    """

    recipe: Recipe
    scratch: bool = False
    methods: tuple[str, ...] = ()
    top: int = 0
    below: float = 1.0


def allowed(recipe: Recipe, policy: TrainPolicy) -> Recipe:
    """Let the policy's own numbers win over a strategy's."""
    return replace(
        recipe,
        lr=policy.lr or recipe.lr,
        batch=policy.batch or recipe.batch,
        epochs=policy.epochs or recipe.epochs,
    )
