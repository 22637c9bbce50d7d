"""Tripwire: answers that are no numbers."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence


def invalid(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether the candidate ever answered with NaN or an infinity.

    There is no allowed share of such answers: the first one ends the release. Only where the
    champion gives them too may the requests be to blame.
    """
    found, theirs = evidence.candidate.invalid, evidence.champion.invalid
    verdict = Verdict.PASS if not found else Verdict.FAIL
    return Finding(
        code="invalid",
        verdict=Verdict.INCONCLUSIVE if found and theirs else verdict,
        message=f"{found:,} answers were no finite numbers; {theirs:,} of the champion's",
        measured=float(found),
        limit=0.0,
        unit="answers",
        n=evidence.candidate.requests,
        passes_if="every answer is a finite number" if found else "",
    )
