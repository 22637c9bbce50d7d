"""From an interval of gains to a finding, in the same words for every gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from instar.core.data import Task
from instar.core.finding import Comparison, Finding, Verdict
from instar.core.policy import MetricRule, ValidatePolicy
from instar.stages.validate.evidence import Rows
from instar.stats.bootstrap import Estimate, paired_bootstrap
from instar.stats.comparison import compare, labels_needed
from instar.stats.metrics import Metric, deciding, fitting, primary
from instar.tasks import form_of

MARGIN = 0.01  # where a policy names none

_VERDICTS = {
    Comparison.BETTER: Verdict.PASS,
    Comparison.NOT_WORSE: Verdict.PASS,
    Comparison.WORSE: Verdict.FAIL,
    Comparison.CANNOT_TELL: Verdict.INCONCLUSIVE,
}


def rules_of(policy: ValidatePolicy, task: Task) -> Mapping[str, MetricRule]:
    """List the metrics to judge; the task's own where the policy names none."""
    return policy.metrics or {
        primary(task.kind): MetricRule(min=form_of(task).least, margin=MARGIN)
    }


def primary_of(policy: ValidatePolicy, task: Task) -> Metric:
    """Find the metric that decides: the first that the policy names, or the task's own."""
    name = next(iter(policy.metrics), primary(task.kind))
    return fitting(task).get(name) or deciding(task)


def gain_of(metric: Metric, rows: Rows, policy: ValidatePolicy, seed: int) -> Estimate:
    """Bound the candidate's gain on rows that both versions answered."""
    return paired_bootstrap(
        metric,
        rows.champion,
        rows.candidate,
        rows.labels,
        resamples=policy.resamples,
        level=policy.confidence,
        seed=seed,
    )


def compared(
    code: str,
    metric: Metric,
    rows: Rows,
    gain: Estimate,
    margin: float,
    *,
    enforced: bool = True,
    picture: Mapping[str, Any] | None = None,
) -> Finding:
    """Judge a gain against a margin of loss: better, not worse, worse, or cannot tell."""
    if not math.isfinite(gain.value):
        return unmeasurable(code, f"{metric.name} is undefined on these {len(rows)} rows")
    answer = compare(gain.interval, margin)
    told = answer is not Comparison.CANNOT_TELL
    level = gain.interval.level
    more = (
        None if told else labels_needed(gain.value, gain.error, gain.n, margin=margin, level=level)
    )
    before, now = (metric(scores, rows.labels) for scores in (rows.champion, rows.candidate))
    return Finding(
        code,
        _VERDICTS[answer],
        f"{answer.value}: {metric.name} {now:.4f} against the champion's {before:.4f}, "
        f"{described(gain, metric)}",
        measured=gain.value,
        limit=-margin,
        unit=unit_of(metric),
        interval=gain.interval,
        n=gain.n,
        passes_if=_passes_if(answer, margin, more),
        answer=answer,
        labels_needed=more,
        enforced=enforced,
        picture=picture or {},
    )


def unit_of(metric: Metric) -> str:
    return f"share of {metric.name}" if metric.relative else metric.name


def described(gain: Estimate, metric: Metric) -> str:
    """Say a gain with its interval, in words."""
    low, high = gain.interval.low, gain.interval.high
    level = f"{gain.interval.level:.0%}"
    if metric.relative:
        return f"a gain of {gain.value:+.2%} ({level}: {low:+.2%} to {high:+.2%})"
    return f"a gain of {gain.value:+.4f} ({level}: {low:+.4f} to {high:+.4f})"


def unmeasurable(code: str, why: str, todo: str = "it can be measured") -> Finding:
    """Report what could not be measured: not failed, and not passed either."""
    return Finding(code, Verdict.ERROR, f"not measured: {why}", passes_if=todo)


def _passes_if(answer: Comparison, margin: float, more: int | None) -> str:
    if answer is Comparison.WORSE:
        return f"the loss is at most {margin:g}"
    if answer is not Comparison.CANNOT_TELL:
        return ""
    if more is None:
        return "the gain lies clear of the margin; where it is now, no number of labels would tell"
    return f"there are about {more:,} more labels, if gain and spread stay as they are"
