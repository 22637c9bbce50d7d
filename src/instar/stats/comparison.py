"""Better, not worse, worse, or cannot tell; and how many labels would tell."""

from __future__ import annotations

import math
from statistics import NormalDist

from instar.core.finding import Comparison, Interval

POWER = 0.8


def compare(gain: Interval, margin: float) -> Comparison:
    """Judge an interval of gains (positive: the candidate is better) against a margin of loss.

    Args:
        gain: Bounds of the gain.
        margin: Loss that still counts as not worse, at least 0.
    Example:
        >>> compare(Interval(-0.004, 0.010), margin=0.005)
        <Comparison.NOT_WORSE: 'not worse'>
        >>> compare(Interval(-0.008, 0.010), margin=0.005)
        <Comparison.CANNOT_TELL: 'cannot tell'>
    """
    if gain.low > 0:
        return Comparison.BETTER
    if gain.low >= -margin:
        return Comparison.NOT_WORSE
    if gain.high < -margin:
        return Comparison.WORSE
    return Comparison.CANNOT_TELL


def labels_needed(
    gain: float, error: float, n: int, *, margin: float, level: float = 0.95
) -> int | None:
    """Forecast how many more labels would decide, if the gain and its spread stay as they are.

    The interval shrinks with the square root of the rows; it decides when the distance from the
    gain to the margin exceeds its half width. Counted for a chance of four in five.

    Args:
        gain: Present estimate.
        error: Its standard error on `n` rows.
        n: Labels so far.
        margin: Loss that still counts as not worse.
        level: Confidence of the interval.
    Returns:
        Further labels, 0 if there are enough; None where the gain lies on the margin or nothing
        is known of the error, so that no number would do.
    Source:
        Julious 2004, "Sample sizes for clinical trials with Normal data", section 5.
    Example:
        >>> labels_needed(0.0, 0.01, 1000, margin=0.01)
        6849
    """
    distance = abs(gain + margin)
    if not (math.isfinite(distance) and error > 0) or distance < error * 1e-2:
        return None
    normal = NormalDist()
    reach = (normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(POWER)) * error / distance
    return max(0, math.ceil(n * reach**2) - n)
