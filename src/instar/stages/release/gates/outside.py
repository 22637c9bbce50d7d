"""Tripwire: a regression's answers beyond what the target was in training."""

from __future__ import annotations

from instar.core.finding import Finding
from instar.core.policy import ReleasePolicy
from instar.core.tools import Served
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.tripwire import Rate, spare


def outside(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether the candidate answers beyond the range of the target more than is ever allowed.

    The range is that of its own training, widened by a tenth on both sides.
    """
    ours, theirs = _beyond(evidence.candidate), _beyond(evidence.champion)
    verdict = spare(ours, theirs, policy.outside, alpha, policy.trip_requests)
    return Finding(
        code="outside",
        verdict=verdict,
        message=f"{ours.events:,} of {ours.n:,} answers lie beyond the range of training",
        measured=ours.value,
        limit=policy.outside,
        unit="share",
        n=ours.n,
        passes_if="" if ours.value <= policy.outside else f"at most {policy.outside:.2%} do",
    )


def _beyond(served: Served) -> Rate:
    return Rate(sum(s.outside for s in served.stretches), served.requests)
