"""Bet against a claim about bounded values; a claim that makes the bettor rich is refuted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from instar.core.errors import InputError

# Parts of the capital that are set on each value; their mixture needs no knowledge of how large
# the difference is. The largest leaves something even when a value is 1.25 below the claim.
BETS = np.geomspace(0.004, 0.75, 12)
_HALVINGS = 24

Array = NDArray[np.float64]


class OutOfRange(InputError):
    """Refuse values outside the range that a bound was built for."""

    code = "input.out_of_range"

    def __init__(self) -> None:
        super().__init__("values from 0 to 1", "others", "rescale them")


def wealth(surprises: ArrayLike, counts: ArrayLike = 1.0) -> Array:
    """Measure the evidence that the surprises are above 0 on average.

    Whoever claims that each surprise is at most 0 in expectation, given the ones before it, sees
    the evidence exceed `log(1 / alpha)` at any time with a probability of at most `alpha`.

    Args:
        surprises: Values minus what the claim expects, shape (..., n), at least -1.25.
        counts: How often each of them came, shape (n,); the order does not matter.
    Returns:
        Logarithm of the capital that was 1 at the start, shape (...).
    Source:
        Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting",
        section 4, with a mixture of constant bets.
    Example:
        >>> float(wealth([0.2, -0.1] * 100)) > math.log(20) > float(wealth([0.2, -0.2] * 100))
        True
    """
    stakes = BETS[:, None] * np.asarray(surprises, float)[..., None, :]
    capital = (np.log1p(stakes) * counts).sum(axis=-1)
    return np.asarray(np.logaddexp.reduce(capital, axis=-1) - math.log(len(BETS)))


def smallest(
    surprises: Callable[[float], Array],
    alpha: float,
    low: float,
    high: float,
    counts: ArrayLike = 1.0,
) -> float:
    """Find the smallest claim in [low, high] that the bets have not refuted.

    Args:
        surprises: From a claim to the surprises it leaves, which fall as the claim grows.
        counts: How often each of them came.
    """
    rich = math.log(1 / alpha)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if wealth(surprises(middle), counts) >= rich:
            low = middle
        else:
            high = middle
    return low
