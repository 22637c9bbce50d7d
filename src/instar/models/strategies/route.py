"""What a strategy is given, and what it decides."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from instar.core.records import Members
from instar.models.recipes import Recipe


class Need(enum.Enum):
    """What must be there for a strategy to be possible."""

    SAMPLE = "a sample of old rows"
    OLD = "all old rows"
    HEAD = "a network that ends in a Linear layer"
    STATISTICS = "batch normalisation in the network"
    ATTENTION = "attention in the network"
    FAMILY = "a network of a family of ours, such as mlp or cnn"
    PRETRAINED = "a file of pretrained weights (train.pretrained)"


@dataclass(frozen=True, slots=True)
class Case:
    """The champion's recipe, training rows, fresh and old, and whether images are read.

    `ensemble` says how many trainings are asked for, `networks` how many the champion is made of.
    """

    recipe: Mapping[str, float]
    fresh: int
    old: int
    image: bool = False
    classes_added: int = 0
    ensemble: Members | None = None
    networks: int = 1


@dataclass(frozen=True, slots=True)
class Route:
    """Where a training starts, what it reads, and how it learns.

    `start`: the champion's weights, or new ones. `learn`: the rows gone through once an epoch.
    `fit`: gradient steps over the network, a refit of the head alone, or nothing. `methods`
    names what is composed, in order; `settings` fill in what the policy leaves to the strategy.
    With `grow` the champion's network gets another shape first.
    """

    recipe: Recipe
    start: Literal["champion", "anew"] = "champion"
    learn: Literal["fresh", "all"] = "fresh"
    fit: Literal["steps", "head", "none"] = "steps"
    methods: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    grow: bool = False

    def rows(self, case: Case) -> int:
        """Count the rows of an epoch."""
        return case.fresh if self.learn == "fresh" else case.fresh + case.old

    def passes(self, case: Case) -> int:
        """Count sample passes, forward and backward; a row that is only answered is a third."""
        if self.fit == "steps":
            return self.recipe.passes(self.rows(case))
        return round(self.rows(case) * (1 + self.recipe.replay_ratio) / 3)

    def trainings(self, case: Case) -> int:
        """Count the trainings that the candidate is made of.

        Example:
            >>> five = Case({}, fresh=500, old=5_000, ensemble=Members("bagging", 5))
            >>> Route(Recipe(1e-3, 64, 3)).trainings(five)
            5
        """
        if case.ensemble is None or self.fit != "steps":
            return 1
        possible = self.start == "champion" if case.ensemble.soup else self._anew(case)
        return case.ensemble.count if possible else 1

    def networks(self, case: Case) -> int:
        """Count the networks that a row goes through in each training."""
        return case.networks if self.start == "champion" else 1

    def _anew(self, case: Case) -> bool:
        """Tell whether members can be made: an ensemble goes on as one network."""
        return self.networks(case) == 1


@dataclass(frozen=True, slots=True)
class Usual:
    """Gain, forgetting and flips in units of the probe's: what was seen elsewhere, a prior.

    `of` names the probe: of the head alone, of all layers (the body), or of moved statistics. Where
    fresh rows are fewer than `share` of the old ones, they drown in them: the gain falls with the
    root of what is missing.
    """

    gain: float
    forgetting: float
    flips: float
    share: float = 0.0
    of: Literal["head", "body", "statistics"] = "body"

    def expected(self, case: Case) -> tuple[float, float, float]:
        """Say gain, forgetting and flips for this many rows.

        Example:
            >>> Usual(0.8, 0.2, 0.4, share=0.2).expected(Case({}, fresh=500, old=10_000))
            (0.4, 0.2, 0.4)
        """
        there = case.fresh / (self.share * case.old) if self.share and case.old else 1.0
        return self.gain * math.sqrt(min(1.0, there)), self.forgetting, self.flips


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to a successor.

    `does` completes "the successor ...". `route` is None where there is no training.
    """

    does: str
    route: Callable[[Case], Route] | None
    usual: Usual
    needs: tuple[Need, ...] = ()
