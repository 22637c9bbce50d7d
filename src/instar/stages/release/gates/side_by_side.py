"""What the comparisons share: one rate, the candidate's against the champion's beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from instar.core.finding import Comparison, Verdict
from instar.core.tools import Stretch
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.tripwire import Rate
from instar.stats.two_rates import two_rates


@dataclass(frozen=True, slots=True)
class Beside:
    """Both rates, and whether the candidate's is proven to be higher; `said` is the evidence."""

    ours: Rate
    theirs: Rate
    worse: bool
    said: str

    @property
    def verdict(self) -> Verdict:
        return Verdict.FAIL if self.worse else Verdict.PASS

    @property
    def answer(self) -> Comparison:
        return Comparison.WORSE if self.worse else Comparison.CANNOT_TELL


def compare(evidence: Evidence, events: Callable[[Stretch], int], alpha: float) -> Beside:
    """Compare how often something happened on both sides, under the same shares."""
    pairs = [both.pair(events) for both in evidence.together]
    found = two_rates(pairs)
    return Beside(
        ours=Rate(sum(p.candidate_events for p in pairs), sum(p.candidate for p in pairs)),
        theirs=Rate(sum(p.champion_events for p in pairs), sum(p.champion for p in pairs)),
        worse=found >= math.log(1 / alpha),
        said=f"evidence {math.exp(min(found, 50)):.3g} of {1 / alpha:.3g}",
    )
