"""Whether the candidate still knows what the champion was held against."""

from __future__ import annotations

from dataclasses import replace

from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.stages.validate.evidence import Evidence
from instar.stages.validate.judge import compared, gain_of, primary_of, unit_of, unmeasurable
from instar.stages.validate.pictures import intervals


def forgetting(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Compare the primary metric on the champion's holdout, fresh rows beside it."""
    metric = primary_of(policy, evidence.task)
    if evidence.old is None:
        return (unmeasurable("forgetting", "the champion has no holdout", "it has one"),)
    old = gain_of(metric, evidence.old, policy, evidence.seed)
    fresh = gain_of(metric, evidence.fresh, policy, evidence.seed)
    shown = [
        (label, gain.value, gain.interval.low, gain.interval.high)
        for label, gain in (("old holdout", old), ("fresh test rows", fresh))
    ]
    picture = intervals(shown, -policy.old_margin, unit_of(metric))
    found = compared("forgetting", metric, evidence.old, old, policy.old_margin, picture=picture)
    return (found if found.verdict is Verdict.PASS else replace(found, passes_if=_ways(found)),)


def _ways(found: Finding) -> str:
    """Name the other way out, too: where a relation has changed, no network knows both."""
    return (
        f"{found.passes_if}; or, where rows like the old ones are not asked about any more, "
        "plan.old_served is no and validate.old_margin and flips.old_max are wider"
    )
