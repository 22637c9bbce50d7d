"""Measure how much of each number lies far from the rest."""

from __future__ import annotations

import numpy as np
import polars as pl

from instar.core.data import Column, Kind, Role
from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.pictures import bars
from instar.stages.admit.words import count, share

NATURAL = 1.5  # times the share of outliers in training rows that a long tail may show


def outliers(evidence: Evidence) -> list[Finding]:
    """Hold the share of numbers outside the fences against the limit, column by column.

    Fences stand some interquartile ranges outside the quartiles of the rows themselves, so that
    drift is not mistaken for outliers. Where both quartiles agree (a number that is nearly always
    0) the range seen in training is the fence. A column whose training rows had about as many
    outliers has a long tail by nature: that is reported, and does not refuse.

    Source:
        Tukey 1977, "Exploratory Data Analysis", chapter 2.
    """
    limit = evidence.policy.outliers
    columns = evidence.schema.of(Role.FEATURE, Kind.NUMBER)
    reach = evidence.policy.outlier_iqr
    fences = {column.name: _fences(evidence.fresh, column, reach) for column in columns}
    shares = {name: _outside(evidence.fresh, name, *fence) for name, fence in fences.items()}
    over = [column for column in columns if shares[column.name] > limit]
    findings = [_over(evidence, each, shares[each.name], fences[each.name]) for each in over]
    if not any(finding.enforced for finding in findings):
        findings.insert(0, _headline(evidence, shares, len(over)))
    return findings


def _headline(evidence: Evidence, shares: dict[str, float], over: int) -> Finding:
    limit = evidence.policy.outliers
    worst = max((value for value in shares.values() if value <= limit), default=0.0)
    return Finding(
        "outliers",
        Verdict.PASS,
        f"at most {share(worst)} of {len(shares) - over} columns lies outside their fences; "
        f"the limit is {share(limit)}",
        measured=worst,
        unit="share",
        limit=limit,
        n=evidence.fresh.height,
        picture=bars({name: 100 * value for name, value in shares.items()}, 100 * limit, "%"),
    )


def _fences(frame: pl.DataFrame, column: Column, reach: float) -> tuple[float, float]:
    values = frame[column.name].drop_nulls().to_numpy()
    if not len(values):
        return -np.inf, np.inf
    low, high = np.quantile(values, [0.25, 0.75])
    if low == high:
        return (
            -np.inf if column.low is None else column.low,
            np.inf if column.high is None else column.high,
        )
    far = reach * (high - low)
    return float(low - far), float(high + far)


def _outside(frame: pl.DataFrame, name: str, low: float, high: float) -> float:
    values = frame[name].drop_nulls().to_numpy()
    return float(((values < low) | (values > high)).mean()) if len(values) else 0.0


def _over(evidence: Evidence, column: Column, value: float, fence: tuple[float, float]) -> Finding:
    name, limit, n = column.name, evidence.policy.outliers, evidence.fresh[column.name].count()
    old = _fences(evidence.train, column, evidence.policy.outlier_iqr)
    before = _outside(evidence.train, name, *old)
    natural = value <= NATURAL * before
    return Finding(
        f"outliers:{name}",
        Verdict.FAIL,
        f"{share(value)} of {name} lies outside {fence[0]:.4g} to {fence[1]:.4g}, limit "
        f"{share(limit)}; {share(before)} of the champion's training rows did"
        + (", so that it does not refuse" if natural else ""),
        measured=value,
        unit="share",
        limit=limit,
        n=n,
        passes_if=f"at most {count(int(limit * n))} values of {name} outside the fences, or a "
        "higher admit.outliers",
        enforced=not natural,
    )
