"""Comparison: failed answers, candidate against the champion beside it."""

from __future__ import annotations

from instar.core.finding import Finding
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.side_by_side import compare


def failures(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether the candidate fails more often than the champion does at the same time."""
    seen = compare(evidence, lambda side: side.failed, alpha)
    return Finding(
        code="failures",
        verdict=seen.verdict,
        message=f"{seen.ours.value:.2%} failed, {seen.theirs.value:.2%} of the champion's at the "
        f"same time; {seen.said}",
        measured=seen.ours.value,
        limit=seen.theirs.value,
        unit="share",
        n=seen.ours.n,
        answer=seen.answer,
        passes_if="no more failures than the champion has" if seen.worse else "",
        picture={
            "kind": "bars",
            "items": [
                {"label": "champion", "value": _short(seen.theirs.value)},
                {"label": "candidate", "value": _short(seen.ours.value)},
            ],
            "limit": policy.errors,
            "unit": "share of failed answers",
        },
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")
