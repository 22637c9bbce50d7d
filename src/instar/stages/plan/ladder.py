"""The ladder: which strategy follows when the sealed candidate of this one fails a gate.

A candidate that flips too much is repaired by the stable plan, one that forgot by going through
all rows, one that learnt too little by a full training: each once, as long as the budget lasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from instar.core.policy import PlanPolicy
from instar.core.records import Forecast
from instar.stages.plan.means import Means

REMEDIES: Mapping[str, tuple[str, ...]] = {
    "flips": ("incremental-stable", "warm"),
    "forgetting": ("incremental-stable", "warm", "full"),
    "metrics": ("warm", "full"),
    "limits": ("warm", "full"),
    "slices": ("warm", "full"),
}
"""What to try when a gate fails, by the gate's name, the cheapest first."""


def ladder(
    chosen: str, means: Means, forecasts: Mapping[str, Forecast], policy: PlanPolicy
) -> dict[str, tuple[str, ...]]:
    """Say for each gate which strategies follow its failure, in order; none, and it is left out.

    Only `auto` climbs. The chosen strategy and any one path up stay within `policy.budget` full
    trainings, in sample passes.

    Example:
        >>> from instar.models.strategies import Need
        >>> ladder("incremental", Means(frozenset(Need)), {}, PlanPolicy())["flips"]
        ('incremental-stable', 'warm')
    """
    if policy.strategy != "auto" or chosen == "keep":
        return {}
    left = policy.budget * (_passes("full", forecasts) or float("inf"))
    left -= _passes(chosen, forecasts)
    then = {}
    for gate, names in REMEDIES.items():
        new = [n for n in means.possible(names) if n != chosen and n in policy.strategies]
        if fits := _within(left, new, forecasts):
            then[gate] = fits
    return then


def _within(
    budget: float, names: Sequence[str], forecasts: Mapping[str, Forecast]
) -> tuple[str, ...]:
    """Take names in order as long as the budget lasts."""
    taken: list[str] = []
    for name in names:
        budget -= _passes(name, forecasts)
        if budget < 0:
            break
        taken.append(name)
    return tuple(taken)


def _passes(name: str, forecasts: Mapping[str, Forecast]) -> float:
    return forecasts[name].passes if name in forecasts else 0.0
