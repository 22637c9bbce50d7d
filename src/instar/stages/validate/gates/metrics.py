"""Whether the candidate is no worse than the champion, metric by metric, on the same rows."""

from __future__ import annotations

from dataclasses import replace

from instar.core.finding import Finding
from instar.core.policy import MetricRule, ValidatePolicy
from instar.stages.validate.evidence import Evidence
from instar.stages.validate.judge import (
    MARGIN,
    compared,
    gain_of,
    primary_of,
    rules_of,
    unit_of,
    unmeasurable,
)
from instar.stages.validate.pictures import intervals, roc
from instar.stats.metrics import METRICS, fitting


def metrics(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Compare by a paired bootstrap on the fresh test rows.

    The primary metric and every one with a margin decide; the others are reported.
    """
    return tuple(
        _judge(name, rule, evidence, policy)
        for name, rule in rules_of(policy, evidence.task).items()
    )


def _judge(name: str, rule: MetricRule, evidence: Evidence, policy: ValidatePolicy) -> Finding:
    code, kind = f"metrics:{name}", evidence.task.kind
    if name not in METRICS:
        return unmeasurable(code, f"there is no metric {name}", f"one of {', '.join(METRICS)}")
    fits = fitting(evidence.task)
    if name not in fits:
        todo = f"one of {', '.join(fits)}"
        return unmeasurable(code, f"{name} is no metric of a {kind.value} task", todo)
    metric, rows = fits[name], evidence.fresh
    gain = gain_of(metric, rows, policy, evidence.seed)
    margin = MARGIN if rule.margin is None else rule.margin
    decides = rule.margin is not None or name == primary_of(policy, evidence.task).name
    found = compared(code, metric, rows, gain, margin, enforced=decides)
    if name == "auroc":
        return replace(found, picture=roc(rows))
    bounds = (name, gain.value, gain.interval.low, gain.interval.high)
    return replace(found, picture=intervals([bounds], -margin, unit_of(metric)))
