"""Comparison: slow answers, candidate against the champion beside it."""

from __future__ import annotations

from instar.core.finding import Finding
from instar.core.policy import ReleasePolicy
from instar.core.tools import Stretch
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.side_by_side import compare


def slow(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether the candidate answers slowly more often than the champion at the same time.

    What counts as slow is fixed before the release: a limit that followed the measurements would
    let chance choose what is tested.
    """
    limit_ms = policy.slow_ms or policy.p99_ms / 2

    def late(side: Stretch) -> int:
        return sum(count for bound, count in side.histogram if bound > limit_ms)

    seen = compare(evidence, late, alpha)
    return Finding(
        code="slow",
        verdict=seen.verdict,
        message=f"{seen.ours.value:.2%} took more than {limit_ms:g} ms, {seen.theirs.value:.2%} of "
        f"the champion's at the same time; {seen.said}",
        measured=seen.ours.value,
        limit=seen.theirs.value,
        unit="share",
        n=seen.ours.n,
        answer=seen.answer,
        passes_if="no more slow answers than the champion gives" if seen.worse else "",
    )
