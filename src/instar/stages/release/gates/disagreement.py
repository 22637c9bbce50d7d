"""Comparison in the shadow: how often the candidate answers otherwise than the client was told."""

from __future__ import annotations

import math

from instar.core.finding import Finding, Verdict
from instar.core.policy import ReleasePolicy
from instar.core.tools import Compared
from instar.stages.release.evidence import Evidence
from instar.stages.release.strategies.shadow import shadow_of
from instar.stats.rate_above import rate_above


def disagreement(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether more answers part than the policy allows; without a limit, tell how many do.

    An answer parts where its class is another one, or its value is beyond the tolerance. A request
    of several rows counts with its share of such rows.
    """
    seen = evidence.shadow or Compared(evidence.candidate.version)
    answered = seen.requests - seen.errors - seen.invalid
    rule = shadow_of(policy)
    limit = rule.flips if rule else None
    share = seen.parted / answered if answered else 0.0
    return Finding(
        code="disagreement",
        verdict=_verdict(seen.parted, answered, limit, alpha),
        message=f"{share:.2%} of {answered:,} answers in the shadow part from what clients got; "
        f"largest difference {seen.largest:.3g}, mean {seen.mean:.3g}; "
        f"{seen.dropped:,} of {seen.sampled:,} were left out under load",
        measured=share,
        limit=limit,
        unit="share",
        n=answered,
        passes_if=f"at most {limit:.2%} part" if limit is not None and share > limit else "",
        enforced=limit is not None,
    )


def _verdict(parted: float, answered: int, limit: float | None, alpha: float) -> Verdict:
    """Above the limit by proof is FAIL; above it without proof, wait."""
    if limit is None or (answered and parted <= limit * answered):
        return Verdict.PASS
    proven = rate_above(parted, answered, limit) >= math.log(1 / alpha)
    return Verdict.FAIL if proven else Verdict.INCONCLUSIVE
