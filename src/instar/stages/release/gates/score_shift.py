"""Comparison: how differently the two versions answer at the same time."""

from __future__ import annotations

from typing import Any

from instar.core.finding import Finding, Interval, Verdict
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Array, Evidence
from instar.stats.psi import edges, histogram, psi
from instar.stats.shifted_mean import Scored, shifted_mean

_LEAST = 100  # answers of each version: below it ten bins say nothing


def score_shift(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether the mean scores of both versions lie further apart than the policy allows.

    FAIL: proof that they do. Another model may answer otherwise: where the policy sets no limit
    it is reported only. The PSI beside it is of the last answers, for the eye. Scores that are no
    probabilities have a PSI and no bound.
    """
    splits = [Scored(b.share, b.champion.scores, b.candidate.scores) for b in evidence.together]
    value, interval = shifted_mean([s for s in splits if s.champion and s.candidate], alpha=alpha)
    limit = policy.score_shift
    verdict = _verdict(interval, limit)
    return Finding(
        code="score_shift",
        verdict=verdict,
        message=f"the candidate's mean score is {value:+.4f} against the champion's at the same "
        f"time{_spread(evidence)}",
        measured=value,
        limit=limit,
        unit="score",
        interval=interval,
        n=len(evidence.candidate_scores),
        passes_if="" if verdict is Verdict.PASS else f"a difference of at most {limit:g}",
        enforced=limit is not None,
        picture=_picture(evidence.champion_scores, evidence.candidate_scores),
    )


def _verdict(interval: Interval, limit: float | None) -> Verdict:
    if limit is None or (interval.low <= limit and interval.high >= -limit):
        return Verdict.PASS
    return Verdict.FAIL


def _compared(old: Array, fresh: Array) -> bool:
    return min(len(old), len(fresh)) >= _LEAST


def _spread(evidence: Evidence) -> str:
    old, fresh = evidence.champion_scores, evidence.candidate_scores
    if not _compared(old, fresh):
        return ""
    inner = edges(old)
    return f"; PSI {psi(histogram(old, inner), histogram(fresh, inner)):.3f}"


def _picture(old: Array, fresh: Array) -> dict[str, Any]:
    if not _compared(old, fresh):
        return {}
    inner = edges(old)
    before, now = histogram(old, inner), histogram(fresh, inner)
    return {
        "kind": "histograms",
        "name": "score",
        "names": ["champion", "candidate"],
        "bins": [float(f"{edge:.4g}") for edge in (float(old.min()), *inner)],
        "old": [float(f"{part:.4g}") for part in before / before.sum()],
        "fresh": [float(f"{part:.4g}") for part in now / now.sum()],
    }
