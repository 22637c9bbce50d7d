"""Complaints of users about the champion's answers."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import WatchPolicy
from instar.stages.watch.evidence import Evidence


def reports(evidence: Evidence, policy: WatchPolicy) -> tuple[Finding, ...]:
    """Say how many answers were complained about; what they should have been, nobody told."""
    share = evidence.reports / evidence.answers if evidence.answers else 0.0
    return (
        Finding(
            "reports",
            Verdict.PASS,
            f"{evidence.reports:,} complaints about {evidence.answers:,} answers",
            measured=share,
            unit="share",
            n=evidence.answers,
            enforced=False,
        ),
    )
