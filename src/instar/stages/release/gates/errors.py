"""Tripwire: the share of failed answers, against a limit."""

from __future__ import annotations

from instar.core.finding import Finding
from instar.core.policy import ReleasePolicy
from instar.core.tools import Served
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.tripwire import Rate, trip


def errors(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether the candidate fails more often than is ever allowed."""
    ours, theirs = _failed(evidence.candidate), _failed(evidence.champion)
    verdict = trip(ours, theirs, policy.errors, alpha, policy.trip_requests)
    return Finding(
        code="errors",
        verdict=verdict,
        message=f"{ours.events:,} of {ours.n:,} answers failed",
        measured=ours.value,
        limit=policy.errors,
        unit="share",
        n=ours.n,
        passes_if="" if ours.value <= policy.errors else f"at most {policy.errors:.2%} fail",
    )


def _failed(served: Served) -> Rate:
    return Rate(served.errors + served.invalid, served.requests)
