"""Two rates held against each other, at any time and as often as one likes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# The bets: a champion's rate, and how many times its odds the candidate's are.
_BASE = np.geomspace(1e-4, 0.3, 12)
_ODDS = np.array([1.5, 2.0, 3.0, 5.0, 10.0, 40.0])


@dataclass(frozen=True, slots=True)
class Pair:
    """Count two versions that were served side by side under one split of the traffic.

    `share` is the candidate's planned part of the requests of the two, in (0, 1).
    """

    share: float
    champion: int
    champion_events: int
    candidate: int
    candidate_events: int


def two_rates(pairs: Iterable[Pair]) -> float:
    """Measure the evidence that the candidate's rate is higher than the champion's.

    Each request falls to the candidate with the planned probability, whatever it holds. Under
    that condition alone, and as long as the candidate is not worse, the evidence exceeds
    `log(1 / alpha)` at any time with a probability of at most `alpha`. Pairs from several splits
    are multiplied, so that rates may move between them: only versions that served at the same
    time are ever compared.

    Args:
        pairs: One entry a split.
    Returns:
        Logarithm of the e-value.
    Source:
        Turner, Ly, Grünwald 2024, "Generic E-variables for exact sequential k-sample tests that
        allow for optional stopping", section 2; here with a random arm per request in place of
        blocks of fixed sizes, and a mixture over alternatives in place of a learnt one.
    Example:
        >>> even = Pair(0.1, champion=900, champion_events=9, candidate=100, candidate_events=1)
        >>> worse = Pair(0.1, champion=900, champion_events=9, candidate=100, candidate_events=9)
        >>> two_rates([even]) < 0, two_rates([worse]) > math.log(1 / 0.05)
        (True, True)
    """
    base = _BASE[:, None]
    odds = _ODDS * base / (1 - base)
    worse = odds / (1 + odds)
    gains = np.zeros(worse.shape)
    for pair in pairs:
        # What both rates would be if they were equal: the point of the null closest to the bet.
        equal = (1 - pair.share) * base + pair.share * worse
        gains += _log_ratio(pair.champion_events, pair.champion, base, equal)
        gains += _log_ratio(pair.candidate_events, pair.candidate, worse, equal)
    return float(np.logaddexp.reduce(gains, axis=None) - math.log(gains.size))


def _log_ratio(events: int, n: int, rate: Array, equal: Array) -> Array:
    return np.asarray(
        events * np.log(rate / equal) + (n - events) * np.log((1 - rate) / (1 - equal))
    )
