"""The rule: evidence in, a strategy and its reason in words out. No data, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from instar.core.errors import PolicyError, UnknownName
from instar.core.policy import PlanPolicy
from instar.core.records import Forecast
from instar.stages.plan.probe import Probe
from instar.stats.bootstrap import Estimate

KNOWN = ("keep", "incremental", "hybrid", "full")
FAR = 0.20  # a fall of the metric after which the champion is no good place to start from
_WON_BACK = 0.8  # share of the fall that the head alone wins back


class NotAllowed(PolicyError):
    """Refuse a policy that forbids the only strategy the request leaves."""

    code = "policy.strategy_not_allowed"

    def __init__(self, wanted: str, why: str, got: str) -> None:
        super().__init__(f"the strategy {wanted}, since {why}", got, "set plan.strategy: auto")


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy, and why in words."""

    strategy: str
    reason: str


def choose(
    changed: str,
    probe: Probe | None,
    drop: Estimate | None,
    forecasts: Mapping[str, Forecast],
    policy: PlanPolicy,
) -> Choice:
    """Decide.

    Args:
        changed: What the request changes besides the data, in words; empty if nothing.
        drop: How far the champion fell on fresh rows; None where it has no holdout.
        forecasts: By strategy.
    Raises:
        UnknownName: the policy names a strategy that does not exist.
        NotAllowed: the policy forces or forbids what the request rules out.
    """
    for name in (*policy.strategies, *({policy.strategy} - {"auto"})):
        if name not in KNOWN:
            raise UnknownName("strategy", name, KNOWN)
    if changed:
        return _rebuilt(changed, policy)
    if policy.strategy != "auto":
        return Choice(policy.strategy, "the policy names it")
    if worthless := _worthless(probe, drop, forecasts, policy):
        return Choice("keep", worthless)
    return _allowed(_preferred(probe, drop), policy)


def _rebuilt(changed: str, policy: PlanPolicy) -> Choice:
    if policy.strategy not in {"auto", "full"}:
        raise NotAllowed("full", changed, policy.strategy)
    if "full" not in policy.strategies:
        raise NotAllowed("full", changed, f"only {', '.join(policy.strategies)}")
    return Choice("full", f"{changed}: the champion's weights do not fit, so training starts anew")


def _worthless(
    probe: Probe | None,
    drop: Estimate | None,
    forecasts: Mapping[str, Forecast],
    policy: PlanPolicy,
) -> str:
    """Say why the champion should be kept; empty if it should not."""
    if probe is None or "keep" not in policy.strategies:
        return ""
    steady = drop is None or drop.interval.low <= 0
    high = probe.gain.interval.high
    if steady and high < policy.min_gain:
        return (
            f"the champion has not fallen on fresh rows, and refitting its head gains at most "
            f"{100 * high:.2f} points, less than {100 * policy.min_gain:.2f}"
        )
    worths = {name: worth(f, policy) for name, f in forecasts.items() if name != "keep"}
    best = max(worths, key=lambda name: worths[name], default="")
    if best and worths[best] <= 0:
        return f"no strategy is worth its price; the best, {best}, would cost {-worths[best]:.2f}"
    return ""


def worth(forecast: Forecast, policy: PlanPolicy) -> float:
    """Weigh a forecast in money: gain less flips less computing.

    Example:
        >>> cheap = Forecast("incremental", 0.02, 0.0, 0.01, 0.0, 0.0, money=0.5)
        >>> worth(cheap, PlanPolicy(value_per_point=3.0, cost_per_flip=1.0))
        4.5
    """
    gain = 100 * forecast.gain * policy.value_per_point
    return gain - 100 * forecast.flips * policy.cost_per_flip - forecast.money


def _preferred(probe: Probe | None, drop: Estimate | None) -> Choice:
    if drop is not None and drop.interval.low > FAR:
        return Choice(
            "full", f"the champion fell by {100 * drop.value:.1f} points: too far to start from it"
        )
    if probe is None:
        return Choice("incremental", "no probe was possible; going on from the champion is cheap")
    gain = 100 * probe.gain.value
    if drop is not None and drop.interval.low > 0 and probe.gain.value >= _WON_BACK * drop.value:
        return Choice(
            "hybrid",
            f"refitting the head alone gains {gain:.1f} of the {100 * drop.value:.1f} points the "
            "champion fell: the features still hold, so only the top is trained at the full rate",
        )
    return Choice(
        "incremental",
        f"refitting the head gains {gain:.1f} points on fresh rows: there is something to learn, "
        "and replayed old rows keep what was learnt at a fraction of a retrain's cost",
    )


def _allowed(choice: Choice, policy: PlanPolicy) -> Choice:
    if choice.strategy in policy.strategies:
        return choice
    for name in ("incremental", "hybrid", "full", "keep"):
        if name in policy.strategies:
            reason = f"{choice.reason}; {choice.strategy} would be next but is not allowed"
            return Choice(name, reason)
    raise NotAllowed(choice.strategy, choice.reason, "no strategy allowed")
