"""Tuning: the same training with other settings, trial by trial, within trials and seconds.

Optuna chooses the settings; each trial is judged on validation rows only. The trials run one
after the other, since each learns from those before it, or side by side, round by round. A tuning
that is cut off goes on with the trials that have ended, and, from its checkpoint, with the one
under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from instar.core.finding import Finding
from instar.core.policy import TrainPolicy
from instar.core.records import Network, Trial
from instar.models.strategies import Route
from instar.stages.train.attempt import Attempt, Ended, Given

BEST = "best."
"""How the names begin under which a recipe hands the best settings on."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a tuning found: the best trial's training, ended; None where no trial came to an end.

    `network` is the one that it chose, None where it is the request's. `recipe` hands the best
    settings on to the next tuning.
    """

    attempt: Attempt | None
    ended: Ended | None
    network: Network | None
    recipe: Mapping[str, float]
    trials: tuple[Trial, ...]
    finding: Finding


def tune(given: Given, route: Route, policy: TrainPolicy, strategy: str) -> Tuned:
    """Try settings until the trials or the seconds are used up, and keep the best trial.

    Every trial trains with the seed of the whole training: its settings alone give its weights
    again. At least one trial is made, whatever the budget.

    Args:
        route: As the strategy says.
        strategy: Its name.
    Raises:
        UnknownName: there is no such sampler or pruner, or a choice names what does not exist.
        PolicyError: the space cannot be searched; see `core.space`, `FixedArchitecture`.
        Interrupted: the work is to be left.
    """
    from instar.stages.train.tuning.search import search  # with Optuna, which takes a second

    return search(given, route, policy, strategy)
