"""Tripwire: processes that the candidate ended, or that hung in it."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence


def crashes(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether a process of the gateway ever ended, or hung, in the candidate.

    There is no allowed number: a process takes other versions' requests with it.
    """
    found = evidence.candidate.crashes
    return Finding(
        code="crashes",
        verdict=Verdict.FAIL if found else Verdict.PASS,
        message=f"{found:,} processes of the gateway ended, or hung, in it",
        measured=float(found),
        limit=0.0,
        unit="processes",
        n=evidence.candidate.requests,
        passes_if="no process ends" if found else "",
    )
