"""Comparison: slow answers, candidate against the champion beside it."""

from __future__ import annotations

import math

from instar.core.finding import Comparison, Finding, Verdict
from instar.core.policy import ReleasePolicy
from instar.core.tools import Stretch
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.tripwire import Rate
from instar.stats.two_rates import two_rates


def slow(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether the candidate answers slowly more often than the champion at the same time.

    What counts as slow is fixed before the release: a limit that followed the measurements would
    let chance choose what is tested.
    """
    limit_ms = policy.slow_ms or policy.p99_ms / 2

    def late(side: Stretch) -> int:
        return sum(count for bound, count in side.histogram if bound > limit_ms)

    pairs = [both.pair(late) for both in evidence.together]
    ours = Rate(sum(p.candidate_events for p in pairs), sum(p.candidate for p in pairs))
    theirs = Rate(sum(p.champion_events for p in pairs), sum(p.champion for p in pairs))
    found = two_rates(pairs)
    worse = found >= math.log(1 / alpha)
    return Finding(
        code="slow",
        verdict=Verdict.FAIL if worse else Verdict.PASS,
        message=f"{ours.value:.2%} took more than {limit_ms:g} ms, {theirs.value:.2%} of the "
        f"champion's at the same time; evidence {math.exp(min(found, 50)):.3g} of {1 / alpha:.3g}",
        measured=ours.value,
        limit=theirs.value,
        unit="share",
        n=ours.n,
        answer=Comparison.WORSE if worse else Comparison.CANNOT_TELL,
        passes_if="no more slow answers than the champion gives" if worse else "",
    )
