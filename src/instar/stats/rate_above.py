"""One rate held against a limit, at any time and as often as one likes."""

from __future__ import annotations

import math

import numpy as np

# How many times the odds at the limit an alternative has. Their mixture is the bet: it gains
# against every rate above the limit without knowing which one it meets.
_ODDS = np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0])


def rate_above(events: float, n: int, limit: float) -> float:
    """Measure the evidence that a rate lies above a limit.

    While the true rate is at most `limit`, the evidence exceeds `log(1 / alpha)` at any time, in
    the whole endless sequence, with a probability of at most `alpha`.

    Args:
        events: How often it happened, in 0..n. Where each time is a part in [0, 1], their sum:
            a bet on a part is at most the same part of the two bets, so the bound holds.
        n: How often it could have happened.
        limit: The rate that is allowed, a fraction in [0, 1].
    Returns:
        Logarithm of the e-value; infinite where `limit` is 0 and there was an event.
    Source:
        Ramdas, Grünwald, Vovk, Shafer 2023, "Game-Theoretic Statistics and Safe Anytime-Valid
        Inference", section 3 (mixtures of likelihood ratios).
    Example:
        >>> rate_above(10, 100, 0.02) > math.log(1 / 0.05) > rate_above(2, 100, 0.02)
        True
    """
    if limit <= 0:
        return math.inf if events else 0.0
    if limit >= 1:
        return 0.0
    odds = _ODDS * limit / (1 - limit)
    rates = odds / (1 + odds)
    gains = events * np.log(rates / limit) + (n - events) * np.log((1 - rates) / (1 - limit))
    return float(np.logaddexp.reduce(gains) - math.log(len(gains)))
