"""Reported: how differently the two versions answer."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence
from instar.stats.psi import edges, histogram, psi

_LEAST = 100  # answers of each version: below it ten bins say nothing
_LARGE = 0.25


def score_shift(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Compare the scores of both versions. Another model may answer otherwise: never enforced."""
    old, fresh = evidence.champion_scores, evidence.candidate_scores
    if min(len(old), len(fresh)) < _LEAST:
        return Finding(
            code="score_shift",
            verdict=Verdict.INCONCLUSIVE,
            message=f"too few answers to compare: {len(old):,} and {len(fresh):,}",
            n=len(fresh),
            passes_if=f"{_LEAST} answers of each version",
            enforced=False,
        )
    inner = edges(old)
    before, now = histogram(old, inner), histogram(fresh, inner)
    shift = psi(before, now)
    return Finding(
        code="score_shift",
        verdict=Verdict.PASS if shift < _LARGE else Verdict.FAIL,
        message=f"the scores of the two versions differ by a PSI of {shift:.3f}",
        measured=shift,
        limit=_LARGE,
        unit="PSI",
        n=len(fresh),
        passes_if="" if shift < _LARGE else f"a PSI below {_LARGE}",
        enforced=False,
        picture={
            "kind": "histograms",
            "name": "score",
            "names": ["champion", "candidate"],
            "bins": [float(f"{edge:.4g}") for edge in (float(old.min()), *inner)],
            "old": [float(f"{part:.4g}") for part in before / before.sum()],
            "fresh": [float(f"{part:.4g}") for part in now / now.sum()],
        },
    )
