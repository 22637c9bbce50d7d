"""The rule: evidence in, a strategy and its reason in words out. No data, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from instar.core.errors import PolicyError, UnknownName
from instar.core.policy import PlanPolicy
from instar.core.records import Forecast
from instar.models.strategies import STRATEGIES, Need
from instar.models.strategies.transfer import FEW
from instar.stages.plan.means import Means
from instar.stages.plan.probe import Probe
from instar.stats.bootstrap import Estimate

_WEIGHED = (
    "head",
    "incremental",
    "incremental-stable",
    "warm",
    "hybrid",
    "adapter",
    "adapt-stats",
)
_NEXT = ("incremental", "hybrid", "incremental-blind", "head", "warm", "full", "recent", "keep")
"""What takes the place of a strategy that is not allowed or not possible, in order."""


class NotAllowed(PolicyError):
    """Refuse a policy that forbids the only strategy the request leaves."""

    code = "policy.strategy_not_allowed"

    def __init__(self, wanted: str, why: str, got: str) -> None:
        super().__init__(f"the strategy {wanted}, since {why}", got, "set plan.strategy: auto")


class NotPossible(PolicyError):
    """Refuse a policy that forces a strategy for which something is missing."""

    code = "policy.strategy_not_possible"

    def __init__(self, strategy: str, lacks: Need, means: Means) -> None:
        got, todo = "none", "set plan.strategy: auto"
        if lacks is Need.HEAD and means.dense:
            got = f"none among the dense layers {', '.join(means.dense)} that makes the answer"
            todo = f"name it, `head` under `network` in instar.yaml, or {todo}"
        super().__init__(f"{lacks.value} for {strategy}", got, todo)


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy, and why in words."""

    strategy: str
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rule decides on.

    `changed` says what the request changes besides the data, in words; empty if nothing. `drop` is
    how far the champion fell on fresh rows; None where it has no holdout. `forecasts` go by
    strategy; `rows` are those to train on, old and fresh. `exchange` is what a point on old rows
    comes to on fresh ones.
    """

    changed: str
    means: Means
    probe: Probe | None
    drop: Estimate | None
    forecasts: Mapping[str, Forecast]
    rows: int = FEW
    exchange: float = 1.0

    @property
    def few(self) -> bool:
        """Tell whether weights learnt elsewhere may be worth more than those rows."""
        return self.rows < FEW and not self.means.lacks("transfer")


def choose(facts: Facts, policy: PlanPolicy) -> Choice:
    """Decide.

    Raises:
        UnknownName: the policy names a strategy that does not exist.
        NotAllowed: the policy forces or forbids what the request rules out.
        NotPossible: the policy forces what there are no means for.
    """
    for name in (*policy.strategies, *({policy.strategy} - {"auto"})):
        if name not in STRATEGIES:
            raise UnknownName("strategy", name, STRATEGIES)
    if facts.changed:
        return _rebuilt(facts, policy)
    if policy.strategy != "auto":
        if lacks := facts.means.lacks(policy.strategy):
            raise NotPossible(policy.strategy, lacks[0], facts.means)
        return Choice(policy.strategy, "the policy names it")
    if facts.means.added:
        return _allowed(_grown(facts), facts.means, policy)
    if worthless := _worthless(facts, policy):
        return Choice("keep", worthless)
    return _allowed(_preferred(facts, policy), facts.means, policy)


def _rebuilt(facts: Facts, policy: PlanPolicy) -> Choice:
    changed, named = facts.changed, policy.strategy
    if named == "transfer" or (named == "auto" and facts.few and "transfer" in policy.strategies):
        if lacks := facts.means.lacks("transfer"):
            raise NotPossible("transfer", lacks[0], facts.means)
        return Choice("transfer", f"{changed}, and pretrained weights are at hand")
    if named not in {"auto", "full"}:
        raise NotAllowed("full", changed, named)
    if "full" not in policy.strategies:
        raise NotAllowed("full", changed, f"only {', '.join(policy.strategies)}")
    return Choice("full", f"{changed}: the champion's weights do not fit, so training starts anew")


def _grown(facts: Facts) -> Choice:
    new = ", ".join(facts.means.added)
    if facts.means.lacks("hybrid"):
        return Choice(
            "keep", f"{new} came new, and without old rows the known classes would be forgotten"
        )
    return Choice(
        "hybrid",
        f"{new} came new: the head grows, old rows are replayed class by class, and the layers "
        "below learn slowly",
    )


def _worthless(facts: Facts, policy: PlanPolicy) -> str:
    """Say why the champion should be kept; empty if it should not."""
    probe, drop = facts.probe, facts.drop
    if probe is None or "keep" not in policy.strategies:
        return ""
    steady = drop is None or drop.interval.low <= 0
    high = max(reach.gain.interval.high for reach in probe.reaches)
    if steady and high < policy.min_gain:
        return (
            f"the champion has not fallen on fresh rows, and a moment's learning gains at most "
            f"{100 * high:.2f} points, less than {100 * policy.min_gain:.2f}"
        )
    best = _best(facts, policy)
    if best and (most := worth(facts.forecasts[best], policy, facts.exchange)) <= 0:
        return f"no strategy is worth its price; the best, {best}, would cost {-most:.2f}"
    return ""


def _best(facts: Facts, policy: PlanPolicy) -> str:
    """Name the strategy of the largest worth; empty where nothing was forecast.

    A full training is weighed only where nothing else is allowed: what it will gain is the least
    certain, and the ladder still leads to it.
    """
    weighed = (*_WEIGHED, "transfer") if facts.few else _WEIGHED
    known = [name for name in weighed if name in facts.forecasts]
    known = known or [name for name in ("full",) if name in facts.forecasts]

    def worth_of(name: str) -> float:
        return worth(facts.forecasts[name], policy, facts.exchange)

    return max(known, key=worth_of, default="")


def worth(forecast: Forecast, policy: PlanPolicy, exchange: float = 1.0) -> float:
    """Weigh a forecast in money: gain less forgetting less flips less computing.

    What is forgotten counts as long as old rows are served.

    Args:
        exchange: What a point on old rows comes to on fresh ones (`evidence.exchange`).

    Example:
        >>> cheap = Forecast("incremental", 0.02, 0.0, 0.01, 0.0, 0.0, money=0.5)
        >>> worth(cheap, PlanPolicy(value_per_point=3.0, cost_per_flip=1.0))
        4.5
    """
    lost = exchange * max(0.0, forecast.forgetting) if policy.old_served else 0.0
    gain = 100 * (forecast.gain - lost) * policy.value_per_point
    return gain - 100 * forecast.flips * policy.cost_per_flip - forecast.money


def _preferred(facts: Facts, policy: PlanPolicy) -> Choice:
    probe = facts.probe
    if not policy.old_served:
        return Choice(
            "recent",
            "old rows are not served any more (plan.old_served), so nothing is spent on them",
        )
    if facts.means.lacks("incremental"):
        return Choice(
            "incremental-blind",
            "no old row is left to replay; the champion's answers and weights stand in for them",
        )
    if probe is None:
        return Choice("incremental", "there was no probe; going on from the champion is cheap")
    gain = f"a moment's learning gains {100 * probe.best.gain.value:.1f} points on fresh rows"
    best = _best(facts, policy)
    if not best:
        return Choice("incremental", gain)
    ours = facts.forecasts[best]
    lost = facts.exchange * ours.forgetting
    return Choice(
        best,
        f"{gain}, so there is something to learn; {best} is expected to gain "
        f"{100 * ours.gain:.1f}, to forget {100 * lost:.1f} and to cost "
        f"{ours.cpu_s:.1f} CPU s, which is worth most",
    )


def _allowed(choice: Choice, means: Means, policy: PlanPolicy) -> Choice:
    """Take the choice, or what comes next where it is not allowed or not possible."""
    if choice.strategy in policy.strategies and not means.lacks(choice.strategy):
        return choice
    why = f"needs {lacks[0].value}" if (lacks := means.lacks(choice.strategy)) else "is not allowed"
    for name in means.possible(_NEXT):
        if name in policy.strategies:
            return Choice(name, f"{choice.reason}; {choice.strategy} would be next but {why}")
    raise NotAllowed(choice.strategy, choice.reason, "no strategy allowed")
