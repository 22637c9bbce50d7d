"""Whether traffic was divided as planned, at any time and as often as one likes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# How closely an alternative keeps to the plan: their mixture finds a split that is off by a
# little as well as one that is off by far.
_CLOSENESS = (10.0, 100.0, 1_000.0, 10_000.0)


@dataclass(frozen=True, slots=True)
class Split:
    """Count the units that met two versions under one division of the traffic.

    `share` is the candidate's planned part of the units of the two, in (0, 1).
    """

    share: float
    champion: int
    candidate: int


def split_ratio(splits: Iterable[Split]) -> float:
    """Measure the evidence that units were not divided as planned (sample ratio mismatch).

    As long as each unit falls to the candidate with the planned probability, by itself, the
    evidence exceeds `log(1 / alpha)` at any time with a probability of at most `alpha`. Each split
    is held against its own plan, so that shares may grow.

    Args:
        splits: One entry a split.
    Returns:
        Logarithm of the e-value.
    Source:
        Lindon, Malek 2022, "Anytime-Valid Inference for Multinomial Count Data", NeurIPS, section
        3: a Dirichlet-multinomial mixture around the planned shares; here over four
        concentrations of the Dirichlet, whose e-values are averaged.
    Example:
        >>> even, odd = Split(0.5, 5_000, 5_050), Split(0.5, 4_700, 5_300)
        >>> split_ratio([even]) < 0, split_ratio([odd]) > math.log(1 / 0.001)
        (True, True)
    """
    gains = np.zeros(len(_CLOSENESS))
    for split in splits:
        gains += [_log_ratio(split, closeness) for closeness in _CLOSENESS]
    return float(np.logaddexp.reduce(gains) - math.log(len(gains)))


def _log_ratio(split: Split, closeness: float) -> float:
    """Hold the mixture of all divisions near the plan against the plan."""
    total = math.lgamma(closeness) - math.lgamma(closeness + split.champion + split.candidate)
    for count, share in ((split.champion, 1 - split.share), (split.candidate, split.share)):
        prior = closeness * share
        total += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return total
