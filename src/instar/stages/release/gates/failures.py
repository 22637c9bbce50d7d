"""Comparison: failed answers, candidate against the champion beside it."""

from __future__ import annotations

import math

from instar.core.finding import Comparison, Finding, Verdict
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.tripwire import Rate
from instar.stats.two_rates import two_rates


def failures(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether the candidate fails more often than the champion does at the same time."""
    pairs = [both.pair(lambda side: side.failed) for both in evidence.together]
    ours = Rate(sum(p.candidate_events for p in pairs), sum(p.candidate for p in pairs))
    theirs = Rate(sum(p.champion_events for p in pairs), sum(p.champion for p in pairs))
    found = two_rates(pairs)
    worse = found >= math.log(1 / alpha)
    return Finding(
        code="failures",
        verdict=Verdict.FAIL if worse else Verdict.PASS,
        message=f"{ours.value:.2%} failed, {theirs.value:.2%} of the champion's at the same time; "
        f"evidence {math.exp(min(found, 50)):.3g} of {1 / alpha:.3g}",
        measured=ours.value,
        limit=theirs.value,
        unit="share",
        n=ours.n,
        answer=Comparison.WORSE if worse else Comparison.CANNOT_TELL,
        passes_if="no more failures than the champion has" if worse else "",
        picture={
            "kind": "bars",
            "items": [
                {"label": "champion", "value": _short(theirs.value)},
                {"label": "candidate", "value": _short(ours.value)},
            ],
            "limit": policy.errors,
            "unit": "share of failed answers",
        },
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")
