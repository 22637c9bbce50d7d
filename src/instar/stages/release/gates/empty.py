"""Tripwire: answers with nothing in them."""

from __future__ import annotations

from instar.core.finding import Finding
from instar.core.policy import ReleasePolicy
from instar.core.tools import Served
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.tripwire import Rate, spare


def empty(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether more of the candidate's answers hold nothing than is ever allowed."""
    ours, theirs = _blank(evidence.candidate), _blank(evidence.champion)
    verdict = spare(ours, theirs, policy.empty, alpha, policy.trip_requests)
    return Finding(
        code="empty",
        verdict=verdict,
        message=f"{ours.events:,} of {ours.n:,} answers hold nothing",
        measured=ours.value,
        limit=policy.empty,
        unit="share",
        n=ours.n,
        passes_if="" if ours.value <= policy.empty else f"at most {policy.empty:.2%} do",
    )


def _blank(served: Served) -> Rate:
    return Rate(sum(s.empty for s in served.stretches), served.requests)
