"""Drift of the answers: what the champion says now, against what it said of its training rows."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import WatchPolicy
from instar.stages.watch.evidence import Evidence
from instar.stats.psi import edges, histogram, psi

_LEAST = 200


def score_drift(evidence: Evidence, policy: WatchPolicy) -> tuple[Finding, ...]:
    """Ask whether the scores are distributed as they were; it needs no labels, so it is early.

    Reported only: another mix of requests moves the scores of a model that is as good as ever.
    """
    code, live, learnt = "score_drift", evidence.live, evidence.learnt
    if not len(learnt):
        message = "the champion's scores on its training rows are not known"
        return (Finding(code, Verdict.ERROR, message, enforced=False),)
    if len(live) < _LEAST:
        lacking = f"{_LEAST - len(live):,} more answers"
        message = f"{len(live):,} answers so far"
        return (Finding(code, Verdict.INCONCLUSIVE, message, passes_if=lacking, enforced=False),)
    inner = edges(learnt)
    before, now = histogram(learnt, inner), histogram(live, inner)
    shift = psi(before, now)
    drifted = shift >= policy.drift_effect
    return (
        Finding(
            code,
            Verdict.FAIL if drifted else Verdict.PASS,
            f"the scores have moved by a PSI of {shift:.3f}",
            measured=shift,
            limit=policy.drift_effect,
            unit="PSI",
            n=len(live),
            passes_if=f"a PSI below {policy.drift_effect:g}" if drifted else "",
            enforced=False,
            picture={
                "kind": "histograms",
                "name": "score",
                "bins": [float(f"{edge:.4g}") for edge in (float(learnt.min()), *inner)],
                "old": [float(f"{part:.4g}") for part in before / before.sum()],
                "fresh": [float(f"{part:.4g}") for part in now / now.sum()],
            },
        ),
    )
