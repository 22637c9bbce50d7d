"""Tripwire: the 99th percentile of the latency, against a limit."""

from __future__ import annotations

from instar.core.finding import Finding
from instar.core.policy import ReleasePolicy
from instar.core.tools import Served
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.tripwire import Rate, trip


def latency(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether more than one request in a hundred is slower than the limit.

    A percentile above the limit and a share of slow requests above 1 % are the same thing; the
    share is what can be tested.
    """
    ours, theirs = (_slow(s, policy.p99_ms) for s in (evidence.candidate, evidence.champion))
    verdict = trip(ours, theirs, 0.01, alpha, policy.trip_requests)
    measured = evidence.candidate.latency_ms.get("p99")
    return Finding(
        code="latency",
        verdict=verdict,
        message=f"{ours.events:,} of {ours.n:,} answers took more than {policy.p99_ms:g} ms",
        measured=measured,
        limit=policy.p99_ms,
        unit="ms",
        n=ours.n,
        passes_if="" if ours.value <= 0.01 else f"99 % answer within {policy.p99_ms:g} ms",
    )


def _slow(served: Served, limit_ms: float) -> Rate:
    slow = sum(count for bound, count in served.histogram if bound > limit_ms)
    return Rate(slow, served.requests)
