"""What the tripwires have in common: one rate of the candidate's, held against a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from instar.core.finding import Verdict
from instar.stats.rate_above import rate_above


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happened, and out of how many requests."""

    events: int
    n: int

    @property
    def value(self) -> float:
        return self.events / self.n if self.n else 0.0


def trip(candidate: Rate, champion: Rate, limit: float, alpha: float, least: int) -> Verdict:
    """Judge a rate.

    Above the limit by proof is FAIL, unless the champion is too: then it is not the candidate's
    doing, and going back would help nobody. Above it without proof is INCONCLUSIVE: wait.
    """
    if candidate.n < least or candidate.value <= limit:
        return Verdict.PASS
    rich = math.log(1 / alpha)
    if rate_above(candidate.events, candidate.n, limit) < rich:
        return Verdict.INCONCLUSIVE
    both = rate_above(champion.events, champion.n, limit) >= rich
    return Verdict.INCONCLUSIVE if both else Verdict.FAIL


def spare(candidate: Rate, champion: Rate, limit: float, alpha: float, least: int) -> Verdict:
    """Judge a rate that may be high for what is asked: where the champion's is too, it passes."""
    if rate_above(champion.events, champion.n, limit) >= math.log(1 / alpha):
        return Verdict.PASS
    return trip(candidate, champion, limit, alpha, least)
