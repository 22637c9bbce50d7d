"""An interval for a share: so many of so many."""

from __future__ import annotations

import math
from statistics import NormalDist

from instar.core.finding import Interval


def wilson(hits: int, n: int, level: float = 0.95) -> Interval:
    """Bound the share behind `hits` of `n`; sound for small numbers and for 0 and n as well.

    Args:
        hits: Between 0 and n.
        n: Trials; none bounds nothing.
        level: Confidence, in (0, 1).
    Source:
        Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    Example:
        >>> wilson(0, 100)
        Interval(low=0.0, high=0.0369..., level=0.95)
    """
    if n == 0:
        return Interval(0.0, 1.0, level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = hits / n
    centre = share + z * z / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Interval(max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale), level)
