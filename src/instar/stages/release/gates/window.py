"""Reported: the live metric of both versions over their last labelled answers."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence


def window(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Show how the versions do of late; it decides nothing.

    A window of a hundred answers that is looked at every second shows any difference sooner or
    later. What decides is `quality`, which counts all labels and may be looked at at any time.
    """
    theirs, ours = evidence.windows
    if not ours.metric:
        return _unseen(ours.n, "production tells no labels for a metric", "")
    if ours.value is None or theirs.value is None:
        lacking = max(policy.window - min(ours.n, theirs.n), 1)
        said = f"{ours.metric} has no value yet: {ours.n:,} and {theirs.n:,} labelled answers"
        return _unseen(ours.n, said, f"{lacking:,} more labels of each version")
    return Finding(
        code="window",
        verdict=Verdict.PASS,
        message=f"{ours.metric} {ours.value:.4f} over the last {ours.n:,} labelled answers, "
        f"{theirs.value:.4f} over the champion's last {theirs.n:,}",
        measured=ours.value,
        limit=theirs.value,
        unit=ours.metric,
        n=ours.n,
        enforced=False,
    )


def _unseen(n: int, message: str, passes_if: str) -> Finding:
    return Finding(
        code="window",
        verdict=Verdict.INCONCLUSIVE,
        message=message,
        n=n,
        passes_if=passes_if,
        enforced=False,
    )
