"""A confidence sequence for what a candidate changes, from traffic that chance divided."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from instar.core.finding import Interval
from instar.stats.betting import BETS, Array, OutOfRange, smallest

_MOST = 2.0**16  # times the labels so far: beyond it nobody waits


@dataclass(frozen=True, slots=True)
class Effect:
    """How much larger the candidate's loss is than the champion's, and how well that is known.

    `weight` is the sum of share * (1 - share) over the answers, `variance` that of the squared
    surprises: both grow in step with the number of labels. `alpha` is for one side.
    """

    value: float
    interval: Interval
    weight: float
    variance: float
    alpha: float

    def needed(self, margin: float) -> float | None:
        """Estimate how many times the labels so far a decision needs; None where none will do.

        The decision is that the candidate is worse (above 0), or not worse (below `margin`).
        """
        if not self.weight:
            return None
        times = 1.0
        while times <= _MOST:
            reach = self._reach(times)
            if self.value - reach > 0 or self.value + reach < margin:
                return times
            times *= 1.1
        return None

    def _reach(self, times: float) -> float:
        wanted = math.log(len(BETS) / self.alpha)
        bound = (wanted / BETS + BETS * self.variance * times / 2).min()
        return float(bound) / (self.weight * times)


def effect_sequence(
    losses: ArrayLike, candidate: ArrayLike, share: ArrayLike, *, alpha: float = 0.025
) -> Effect:
    """Bound the difference of two versions' mean losses, however often one looks.

    Chance decided who answered, and that alone carries the result: the traffic may drift, shares
    may grow from step to step, labels may come late as long as their delay does not depend on who
    answered. Champion and candidate are compared within a share, never across; answers count by
    share * (1 - share), the weights under which unequal shares lose least.

    Args:
        losses: Loss of each labelled answer, shape (n,), in [0, 1], in label order.
        candidate: Whether the candidate gave it, shape (n,), boolean.
        share: Probability with which the candidate was to answer, shape (n,), in [0, 1].
        alpha: Probability that the low end ever fails to hold; the same for the high end.
    Returns:
        The difference, candidate minus champion; its interval has the level 1 - 2 alpha.
    Raises:
        OutOfRange: a loss lies outside [0, 1].
    Source:
        Waudby-Smith and Ramdas 2024 for the bets; the design-based view of Ham, Bojinov, Lindon,
        Tingley 2022, "Design-Based Confidence Sequences for Anytime-valid Causal Inference"; the
        overlap weights of Li, Morgan, Zaslavsky 2018, "Balancing Covariates via Propensity Score
        Weighting".
    Example:
        >>> arms = np.arange(4000) % 2 == 0
        >>> effect_sequence(np.where(arms, 0.4, 0.1), arms, np.full(4000, 0.5)).interval.low > 0.2
        True
    """
    x, pi = np.asarray(losses, float), np.asarray(share, float)
    if not ((x >= 0) & (x <= 1)).all():
        raise OutOfRange
    weights = pi * (1 - pi)
    total, level = float(weights.sum()), 1 - 2 * alpha
    if not total:
        return Effect(0.0, Interval(-1.0, 1.0, level), 0.0, 0.0, alpha)
    parts = np.where(np.asarray(candidate, bool), 1 - pi, -pi) * (x - _expected(x))
    value = float(np.clip(parts.sum() / total, -1, 1))
    low = smallest(lambda claim: parts - weights * claim, alpha, -1.0, value)
    high = -smallest(lambda claim: -parts - weights * claim, alpha, -1.0, -value)
    return Effect(value, Interval(low, high, level), total, float((parts**2).sum()), alpha)


def _expected(x: Array) -> Array:
    """Guess each loss from those before it.

    Taking the guess off changes no mean, for chance decides the sign; it takes away spread.
    """
    before = np.cumsum(x) - x
    return np.asarray((0.5 + before) / np.arange(1, len(x) + 1))
