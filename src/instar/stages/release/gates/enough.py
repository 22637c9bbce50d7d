"""The minimum of a step: requests, and time. Labels are counted by the gate that needs them."""

from __future__ import annotations

import math

from instar.core.finding import Finding, Verdict
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence


def enough(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether the step has been looked at for long enough.

    The time is the gateway's own, in which a jump of the wall clock does not show; it begins
    anew when the gateway does.
    """
    step = evidence.step
    lacking = []
    if (requests := step.requests - evidence.requests) > 0:
        lacking.append(f"{requests:,} more requests")
    if (seconds := step.bake_s - evidence.age_s) > 0:
        lacking.append(f"{math.ceil(seconds):,} more seconds")
    return Finding(
        code="enough",
        verdict=Verdict.INCONCLUSIVE if lacking else Verdict.PASS,
        message=f"{evidence.requests:,} requests in {evidence.age_s:,.0f} s of this step",
        measured=float(evidence.requests),
        limit=float(step.requests),
        unit="requests",
        n=evidence.requests,
        passes_if=" and ".join(lacking),
    )
