"""How fast champions of this model line decay: a weighted line through 0 over past looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from instar.core.finding import Interval
from instar.core.policy import CadencePolicy
from instar.need.evidence import Evidence, Fall

LEAST = 3  # looks, below which nothing is fitted
LEVEL = 0.95
# Student's t at 97.5 %, for 1 to 30 degrees of freedom; beyond them that of 30, which is wider.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decay:
    """What is lost a day, as a fraction of the primary metric; `n` looks say so."""

    rate: float
    interval: Interval
    n: int

    @property
    def sure(self) -> bool:
        """Tell whether there is decay at all, beyond chance."""
        return self.interval.low > 0


def row_age(days: float, span: float | None, cadence: CadencePolicy) -> float:
    """Say how old a champion was when its fresh rows came, in the mean.

    Rows that came evenly over the last `span` days were answered by a champion half as many days
    younger. Without a span that of the policy counts, and without that all of its age.

    Example:
        >>> row_age(20.0, 4.0, CadencePolicy()), row_age(20.0, None, CadencePolicy())
        (18.0, 10.0)
    """
    known = span if span is not None else cadence.fresh_days
    return days - min(days, days if known is None else known) / 2


def decay(evidence: Evidence, cadence: CadencePolicy) -> Decay | None:
    """Fit the decay of the champions seen so far; None with fewer than 3 looks."""
    return line(
        [(row_age(fall.days, fall.span, cadence), fall) for fall in evidence.falls if fall.days > 0]
    )


def line(looks: Sequence[tuple[float, Fall]]) -> Decay | None:
    """Fit drop = rate * age, each look weighted by 1 / error^2.

    The interval is Student's with n - 1 degrees of freedom. Where looks scatter more than their
    errors say, as decay that comes in jumps makes them, the error is widened by as much (Birge).

    Args:
        looks: Age in days and what was seen then.
    Returns:
        None where there are fewer than 3.
    Source:
        Birge 1932, "The calculation of errors by the method of least squares".
    Example:
        >>> seen = [(days, Fall("", days, 0.001 * days, 0.002)) for days in (5.0, 10.0, 10.0)]
        >>> found = line(seen)
        >>> round(found.rate, 6), round(found.interval.low, 6), round(found.interval.high, 6)
        (0.001, 0.000426, 0.001574)
    """
    if len(looks) < LEAST:
        return None
    weights = [(age / fall.error) ** 2 for age, fall in looks]
    rate = sum(age * fall.drop / fall.error**2 for age, fall in looks) / sum(weights)
    scatter = sum(((fall.drop - rate * age) / fall.error) ** 2 for age, fall in looks)
    free = len(looks) - 1
    error = math.sqrt(max(1.0, scatter / free) / sum(weights))
    reach = _T[min(free, len(_T)) - 1] * error
    return Decay(rate, Interval(rate - reach, rate + reach, LEVEL), len(looks))
