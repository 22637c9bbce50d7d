"""Reported: complaints of users about answers, candidate against the champion beside it."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence


def reports(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Count complaints. Who complains is no fair sample of who was answered: never enforced."""
    ours, theirs = evidence.candidate, evidence.champion
    return Finding(
        code="reports",
        verdict=Verdict.PASS,
        message=f"{ours.reports:,} complaints about {ours.requests:,} answers; "
        f"{theirs.reports:,} about {theirs.requests:,} of the champion's",
        measured=ours.reports / ours.requests if ours.requests else 0.0,
        limit=theirs.reports / theirs.requests if theirs.requests else 0.0,
        unit="share",
        n=ours.requests,
        enforced=False,
    )
