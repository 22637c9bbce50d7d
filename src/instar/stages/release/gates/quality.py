"""Comparison: live quality, candidate against the champion beside it."""

from __future__ import annotations

import math
from typing import Any

from instar.core.finding import Comparison, Finding, Interval, Verdict
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence
from instar.stats.effect_sequence import Effect, effect_sequence


def quality(evidence: Evidence, policy: ReleasePolicy, alpha: float) -> Finding:
    """Ask whether the candidate's answers are worse than the champion's at the same time.

    FAIL: proof that they are worse, at any labels. INCONCLUSIVE: fewer labels than the step asks
    for, or no proof yet that they are not worse by the margin. A step that asks for no labels
    does not wait for this gate.
    """
    answers = evidence.answers
    n = int(answers.candidate.sum())
    effect = effect_sequence(answers.loss, answers.candidate, answers.share, alpha=alpha)
    answer = _answer(effect, policy.quality_margin)
    verdict = _verdict(evidence, answer)
    times = effect.needed(policy.quality_margin) if answer is Comparison.CANNOT_TELL else None
    needed = math.ceil(n * (times - 1)) if times else None
    return Finding(
        code="quality",
        verdict=verdict,
        message=f"{answer.value}: live quality ({evidence.quality}) {-effect.value:+.4f} against "
        "the champion's at the same time",
        measured=-effect.value,
        limit=-policy.quality_margin,
        unit=evidence.quality,
        interval=Interval(-effect.interval.high, -effect.interval.low, effect.interval.level),
        n=n,
        answer=answer,
        passes_if=_passes_if(verdict, evidence, needed, policy.quality_margin),
        labels_needed=needed,
        enforced=evidence.step.labels > 0 or verdict is Verdict.FAIL,
        picture=_picture(effect, policy.quality_margin),
    )


def _answer(effect: Effect, margin: float) -> Comparison:
    if effect.interval.low > 0:
        return Comparison.WORSE
    if effect.interval.high < 0:
        return Comparison.BETTER
    return Comparison.NOT_WORSE if effect.interval.high < margin else Comparison.CANNOT_TELL


def _verdict(evidence: Evidence, answer: Comparison) -> Verdict:
    if answer is Comparison.WORSE:
        return Verdict.FAIL
    if evidence.labels < evidence.step.labels or answer is Comparison.CANNOT_TELL:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS


def _passes_if(verdict: Verdict, evidence: Evidence, needed: int | None, margin: float) -> str:
    if verdict is Verdict.FAIL:
        return "answers no worse than the champion's"
    if (lacking := evidence.step.labels - evidence.labels) > 0:
        return f"{lacking:,} more labels"
    if verdict is Verdict.PASS:
        return ""
    labels = f"about {needed:,} more labels" if needed else "many more labels"
    return f"{labels} show a loss of at most {margin:g}"


def _picture(effect: Effect, margin: float) -> dict[str, Any]:
    row = {
        "label": "candidate - champion",
        "value": _short(-effect.value),
        "low": _short(-effect.interval.high),
        "high": _short(-effect.interval.low),
    }
    return {"kind": "intervals", "rows": [row], "zero": 0, "limit": -margin, "unit": ""}


def _short(value: float) -> float:
    return float(f"{value:.4g}")
