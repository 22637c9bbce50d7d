"""Whether any declared slice of the data is worse off."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from instar.core.finding import Comparison, Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.stages.validate.evidence import Evidence, Rows
from instar.stages.validate.judge import gain_of, primary_of, unit_of, unmeasurable
from instar.stages.validate.pictures import intervals, texts
from instar.stats.bootstrap import Estimate
from instar.stats.comparison import compare, labels_needed
from instar.stats.metrics import Metric


@dataclass(frozen=True, slots=True)
class _Slice:
    value: str
    gain: Estimate
    answer: Comparison


def slices(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Compare the primary metric value by value of each declared column, on fresh test rows.

    All values of a column together keep the policy's confidence (Bonferroni). A slice fails where
    it is worse beyond doubt. Where one looks worse by more than the margin but may not be, the
    finding is inconclusive; where its rows are few and the loss is within the margin, it passes
    and the labels that would make sure are named.
    """
    metric = primary_of(policy, evidence.task)
    return tuple(_column(name, evidence, metric, policy) for name in policy.slices.columns)


def _column(name: str, evidence: Evidence, metric: Metric, policy: ValidatePolicy) -> Finding:
    code, rule = f"slices:{name}", policy.slices
    if name not in evidence.fresh.frame.columns:
        return unmeasurable(code, f"the fresh data have no column {name}", "the column is there")
    values = texts(evidence.fresh.frame[name])
    counts = values.value_counts(sort=True)
    large = counts.filter(pl.col("count") >= rule.min_rows)[name].sort().to_list()
    judged = _judge(values, large, evidence, metric, policy)
    small = len(counts) - len(judged)
    if not judged:
        return Finding(
            code,
            Verdict.INCONCLUSIVE,
            f"none of the {len(counts)} values of {name} has {rule.min_rows} rows to judge it by",
            n=len(values),
            passes_if="there are more rows, or slices.min_rows is smaller",
        )
    found = _finding(code, name, judged, metric, rule.margin)
    note = f"; {small} of {len(counts)} values have too few rows to be judged" if small else ""
    return replace(found, message=found.message + note)


def _judge(
    values: pl.Series, large: list[str], evidence: Evidence, metric: Metric, policy: ValidatePolicy
) -> list[_Slice]:
    together = replace(policy, confidence=1 - (1 - policy.confidence) / max(1, len(large)))
    found = []
    for value in large:
        rows = _subset(evidence.fresh, (values == value).to_numpy())
        gain = gain_of(metric, rows, together, evidence.seed)
        if np.isfinite(gain.value):
            found.append(_Slice(value, gain, compare(gain.interval, policy.slices.margin)))
    return found


def _subset(rows: Rows, kept: np.ndarray) -> Rows:
    return Rows(rows.frame, rows.labels[kept], rows.champion[kept], rows.candidate[kept])


def _finding(code: str, name: str, judged: list[_Slice], metric: Metric, margin: float) -> Finding:
    worst = min(judged, key=lambda s: s.gain.value)
    failed = [s.value for s in judged if s.answer is Comparison.WORSE]
    unsure = [s for s in judged if s.answer is Comparison.CANNOT_TELL]
    looks_worse = [s.value for s in unsure if s.gain.value < -margin]
    if failed:
        verdict, answer, named = Verdict.FAIL, Comparison.WORSE, failed
    elif looks_worse:
        verdict, answer, named = Verdict.INCONCLUSIVE, Comparison.CANNOT_TELL, looks_worse
    else:
        verdict, answer, named = Verdict.PASS, Comparison.NOT_WORSE, []
    more = [
        labels_needed(
            s.gain.value, s.gain.error, s.gain.n, margin=margin, level=s.gain.interval.level
        )
        for s in unsure
    ]
    needed = max((count for count in more if count is not None), default=None)
    where = f"worse at {', '.join(named)}" if named else f"no {name} is seen to be worse"
    return Finding(
        code,
        verdict,
        f"{where}; the least gain of {metric.name} is {worst.gain.value:+.4f}, at {worst.value}"
        + (f"; {len(unsure)} of {len(judged)} cannot be told for sure" if unsure else ""),
        measured=worst.gain.value,
        limit=-margin,
        unit=unit_of(metric),
        interval=worst.gain.interval,
        n=worst.gain.n,
        passes_if=_passes_if(verdict, named, margin, needed),
        answer=answer,
        labels_needed=needed,
        picture=intervals(
            [(s.value, s.gain.value, s.gain.interval.low, s.gain.interval.high) for s in judged],
            -margin,
            unit_of(metric),
        ),
    )


def _passes_if(verdict: Verdict, named: list[str], margin: float, needed: int | None) -> str:
    if verdict is Verdict.PASS:
        return ""
    wish = f"the loss is at most {margin:g} at {', '.join(named)}"
    if verdict is Verdict.FAIL or needed is None:
        return wish
    return f"{wish}, which about {needed:,} more labels of a slice would show"
