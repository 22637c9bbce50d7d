"""Whether the traffic is divided as planned: without that, no comparison means anything."""

from __future__ import annotations

import math

from instar.core.finding import Finding, Verdict
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence
from instar.stats.split_ratio import Split, split_ratio


def split(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Hold the units that met each version against the planned shares (sample ratio mismatch).

    A mismatch is an ERROR: the measurement is at fault, not the candidate. So is a version that
    is asked although the route gives it nothing. Units are counted once under each route, however
    often they ask.
    """
    splits = [
        Split(both.share, both.champion.units, both.candidate.units) for both in evidence.together
    ]
    ours, all_ = sum(s.candidate for s in splits), sum(s.champion + s.candidate for s in splits)
    planned = sum(s.share * (s.champion + s.candidate) for s in splits)
    found = split_ratio(splits)
    wrong = found >= math.log(1 / alpha)
    message = f"{ours:,} of {all_:,} units met the candidate, {planned:,.0f} were planned"
    if evidence.strays:
        message = f"{', '.join(evidence.strays)} is asked and has no share; {message}"
    broken = wrong or evidence.strays
    return Finding(
        code="split",
        verdict=Verdict.ERROR if broken else Verdict.PASS,
        message=f"{message}; evidence {math.exp(min(found, 50)):.3g} of {1 / alpha:.3g}",
        measured=ours / all_ if all_ else None,
        limit=planned / all_ if all_ else None,
        unit="share",
        n=all_,
        passes_if="a gateway that divides the traffic as the route says" if broken else "",
    )
