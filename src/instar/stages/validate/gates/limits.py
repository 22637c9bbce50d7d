"""Whether the candidate keeps the absolute limits of the policy."""

from __future__ import annotations

import math

from instar.core.finding import Finding, Interval, Verdict
from instar.core.policy import MetricRule, ValidatePolicy
from instar.stages.validate.evidence import Evidence
from instar.stages.validate.judge import rules_of, unmeasurable
from instar.stats.bootstrap import bootstrap
from instar.stats.metrics import fitting


def limits(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Hold each metric with a `min` or a `max` against it, on the fresh test rows."""
    return tuple(
        found
        for name, rule in rules_of(policy, evidence.task).items()
        for found in _judge(name, rule, evidence, policy)
    )


def _judge(
    name: str, rule: MetricRule, evidence: Evidence, policy: ValidatePolicy
) -> tuple[Finding, ...]:
    metric = fitting(evidence.task).get(name)
    if metric is None or (rule.min is None and rule.max is None):
        return ()  # an unknown metric is an error of the gate `metrics`
    rows = evidence.fresh
    seen = bootstrap(
        metric,
        rows.candidate,
        rows.labels,
        resamples=policy.resamples,
        level=policy.confidence,
        seed=evidence.seed,
    )
    bounds = [("min", rule.min), ("max", rule.max)]
    return tuple(
        _finding(name, side, bound, seen.value, seen.interval, seen.n)
        for side, bound in bounds
        if bound is not None
    )


def _finding(
    name: str, side: str, bound: float, value: float, interval: Interval, n: int
) -> Finding:
    code = f"limits:{name}:{side}"
    if not math.isfinite(value):
        return unmeasurable(code, f"{name} is undefined on these {n} rows")
    passed = value >= bound if side == "min" else value <= bound
    word = "at least" if side == "min" else "at most"
    return Finding(
        code,
        Verdict.PASS if passed else Verdict.FAIL,
        f"{name} is {value:.4f}, {word} {bound:g} is wanted",
        measured=value,
        limit=bound,
        unit=name,
        interval=interval,
        n=n,
        passes_if="" if passed else f"{name} is {word} {bound:g}",
    )
