"""Whether the gain is too good to be true, and on which new column it rests."""

from __future__ import annotations

import numpy as np

from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.data import preprocessing as prepare
from instar.stages.validate.evidence import Evidence
from instar.stages.validate.judge import described, gain_of, primary_of, unit_of, unmeasurable
from instar.stats.bootstrap import Estimate
from instar.stats.metrics import Metric

_QUESTION = ": is that known at the time of the prediction?"


def suspicious(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Doubt a large gain, and shuffle each column that the champion did not read.

    A gain that a new column carries alone is most often a column that training has and live
    requests will not: filled in later, or a shadow of the label.
    """
    metric = primary_of(policy, evidence.task)
    gain = gain_of(metric, evidence.fresh, policy, evidence.seed)
    if not np.isfinite(gain.value):
        return (unmeasurable("suspicious:gain", f"{metric.name} is undefined on these rows"),)
    losses = {name: _loss(name, evidence, metric) for name in _new_columns(evidence)}
    large = gain.value > policy.suspicious_gain
    carried = [name for name, loss in losses.items() if large and loss > gain.value / 2]
    return (
        _gain(gain, metric, carried, policy, large=large),
        *(
            _column(name, loss, metric, evidence, policy, named=name in carried)
            for name, loss in losses.items()
        ),
    )


def _new_columns(evidence: Evidence) -> tuple[str, ...]:
    how = evidence.candidate.preprocessing
    read = {*evidence.champion.preprocessing.columns, how.image.name if how.image else ""}
    return tuple(name for name in how.columns if name not in read)


def _loss(name: str, evidence: Evidence, metric: Metric) -> float:
    """Measure what the candidate loses when one column no longer belongs to its row."""
    rows = evidence.fresh
    columns = prepare.columns(rows.frame, evidence.candidate.preprocessing)
    columns[name] = np.random.default_rng(evidence.seed).permutation(columns[name])
    shuffled = evidence.candidate.predict(columns)
    whole = metric(rows.candidate, rows.labels)
    without = metric(shuffled, rows.labels)
    return float(metric.gain(np.asarray(without), np.asarray(whole), whole))


def _gain(
    gain: Estimate, metric: Metric, carried: list[str], policy: ValidatePolicy, *, large: bool
) -> Finding:
    rests = f"; it rests on {', '.join(carried)}, new to it{_QUESTION}" if carried else ""
    return Finding(
        "suspicious:gain",
        Verdict.INCONCLUSIVE if large else Verdict.PASS,
        f"{described(gain, metric)}, {'more' if large else 'no more'} than is plausible{rests}",
        measured=gain.value,
        limit=policy.suspicious_gain,
        unit=unit_of(metric),
        interval=gain.interval,
        n=gain.n,
        passes_if="a person finds where the gain comes from and lets it pass" if large else "",
    )


def _column(
    name: str,
    loss: float,
    metric: Metric,
    evidence: Evidence,
    policy: ValidatePolicy,
    *,
    named: bool,
) -> Finding:
    doubted = named or loss > policy.suspicious_column
    return Finding(
        f"suspicious:{name}",
        Verdict.INCONCLUSIVE if doubted else Verdict.PASS,
        f"with {name} shuffled {metric.name} gets worse by {loss:.4f}{_QUESTION * doubted}",
        measured=loss,
        limit=policy.suspicious_column,
        unit=unit_of(metric),
        n=len(evidence.fresh),
        passes_if=f"live requests carry {name}, and a person says so" if doubted else "",
        enforced=not named,  # the finding on the gain names it already: one doubt, one decision
    )
