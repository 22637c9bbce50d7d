"""A confidence sequence for how far two versions' mean scores are apart, from counts alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from instar.core.finding import Interval
from instar.stats.betting import Array, smallest


@dataclass(frozen=True, slots=True)
class Scored:
    """Count both versions' scores by equal parts of 0 to 1, under one split of the traffic.

    `share` is the candidate's planned part of the requests of the two, in (0, 1).
    """

    share: float
    champion: tuple[int, ...]
    candidate: tuple[int, ...]


def shifted_mean(splits: Iterable[Scored], *, alpha: float = 0.05) -> tuple[float, Interval]:
    """Bound the difference of two versions' mean scores, however often one looks.

    As in `effect_sequence`, chance decided who answered, and that alone carries the result. Here
    scores are known to their part of 0 to 1 only, and stand for its middle; the order in which
    they came does not matter to a constant bet.

    Args:
        splits: One entry a split; all with as many parts.
        alpha: Probability that the interval ever fails to hold, both sides together.
    Returns:
        The difference, candidate minus champion, and its interval, within [-1, 1].
    Source:
        As `effect_sequence`: Waudby-Smith and Ramdas 2024; Ham, Bojinov, Lindon, Tingley 2022.
    Example:
        >>> low, high = (900, 100), (100, 900)
        >>> value, interval = shifted_mean([Scored(0.5, low, high)])
        >>> round(value, 2), interval.low > 0.3
        (0.4, True)
    """
    parts, weights, counts = [np.zeros(0)], [np.zeros(0)], [np.zeros(0)]
    for split in splits:
        for side, sign in ((split.candidate, 1 - split.share), (split.champion, -split.share)):
            middles = (np.arange(len(side)) + 0.5) / len(side)
            parts.append(sign * (middles - 0.5))
            weights.append(np.full(len(side), split.share * (1 - split.share)))
            counts.append(np.asarray(side, float))
    x, w, n = (np.concatenate(column) for column in (parts, weights, counts))
    total, level = float((w * n).sum()), 1 - alpha
    if not total:
        return 0.0, Interval(-1.0, 1.0, level)
    value = float(np.clip((x * n).sum() / total, -1, 1))

    def above(claim: float) -> Array:
        return np.asarray(x - w * claim)

    def below(claim: float) -> Array:
        return np.asarray(-x - w * claim)

    low = smallest(above, alpha / 2, -1.0, value, n)
    high = -smallest(below, alpha / 2, -1.0, -value, n)
    return value, Interval(low, high, level)
