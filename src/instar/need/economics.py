"""What an update costs against what staleness costs, and the period that is cheapest."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from instar.core.finding import Interval
from instar.core.policy import Policy
from instar.need.evidence import Evidence
from instar.need.fit import Decay, decay


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of one update, in money: computing (None: never metered), flips, people."""

    computing: float | None
    flips: float
    people: float

    @property
    def total(self) -> float:
        return (self.computing or 0.0) + self.flips + self.people


@dataclass(frozen=True, slots=True)
class Best:
    """The cheapest days from one update to the next, with what they rest on."""

    days: float
    interval: Interval
    cost: Cost
    decay: Decay


def price(evidence: Evidence, policy: Policy) -> Cost:
    """Take the mean price of past updates, and what the policy says of people's time."""
    money = [one.money for one in evidence.prices if one.money is not None]
    flips = [one.flips for one in evidence.prices if one.flips is not None]
    return Cost(
        computing=statistics.fmean(money) if money else None,
        flips=100 * statistics.fmean(flips) * policy.plan.cost_per_flip if flips else 0.0,
        people=policy.cadence.cost_per_update,
    )


def worth(policy: Policy) -> float:
    """Say what a fraction of 1 of the primary metric is worth a day, in money."""
    return 100 * policy.plan.value_per_point / policy.cadence.value_days


def staleness(value: float, rate: float, days: float) -> float:
    """Add up what is lost in some days without an update, in money.

    The metric has fallen by `rate * t` after t days, so the loss is value * rate * days^2 / 2.

    Args:
        value: Worth of a fraction of 1 of the metric a day, in money.
        rate: Fraction of the metric lost a day.
    Example:
        >>> staleness(value=10.0, rate=0.01, days=10.0)
        5.0
    """
    return value * rate * days**2 / 2


def period(cost: float, value: float, rate: float) -> float:
    """Find the days between updates at which the cost a day is smallest; infinite without loss.

    Updating and being stale together cost cost / t + value * rate * t / 2 a day, which is smallest
    where both parts are equal.

    Source:
        Harris 1913, "How many parts to make at once" (the economic lot size); weighed for models
        by Mahadevan and Mathioudakis 2024, "Cost-aware retraining for machine learning" (CARA).
    Example:
        >>> period(cost=5.0, value=10.0, rate=0.01)
        10.0
    """
    loss = value * rate
    return math.sqrt(2 * cost / loss) if loss > 0 else math.inf


def best(evidence: Evidence, policy: Policy) -> Best | None:
    """Find the cheapest period; None where no decay is proven, or a point is worth nothing."""
    found, value = decay(evidence, policy.cadence), worth(policy)
    if found is None or not found.sure or not value:
        return None
    cost = price(evidence, policy)
    ends = found.interval
    low, days, high = (
        period(cost.total, value, rate) for rate in (ends.high, found.rate, ends.low)
    )
    return Best(days, Interval(low, high, ends.level), cost, found)
