"""Measure how much of each number lies far from the rest."""

from __future__ import annotations

import numpy as np

from instar.core.data import Column, Kind, Role
from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.pictures import bars
from instar.stages.admit.words import count, share


def outliers(evidence: Evidence) -> list[Finding]:
    """Hold the share of numbers outside the fences against the limit, column by column.

    Fences stand some interquartile ranges outside the quartiles of the fresh rows themselves, so
    that drift is not mistaken for outliers. Where both quartiles agree (a number that is nearly
    always 0) the range seen in training is the fence.

    Source:
        Tukey 1977, "Exploratory Data Analysis", chapter 2.
    """
    limit = evidence.policy.outliers
    fences = {
        column.name: _fences(evidence, column)
        for column in evidence.schema.of(Role.FEATURE, Kind.NUMBER)
    }
    shares = {name: _outside(evidence, name, *fence) for name, fence in fences.items()}
    over = [name for name in shares if shares[name] > limit]
    if over:
        return [_over(evidence, name, shares[name], fences[name]) for name in over]
    worst = max(shares.values(), default=0.0)
    return [
        Finding(
            "outliers",
            Verdict.PASS,
            f"at most {share(worst)} of a column lies outside its fences; the limit is "
            f"{share(limit)}",
            measured=worst,
            limit=limit,
            n=evidence.fresh.height,
            picture=bars({k: 100 * v for k, v in shares.items()}, 100 * limit, "%"),
        )
    ]


def _fences(evidence: Evidence, column: Column) -> tuple[float, float]:
    values = evidence.fresh[column.name].drop_nulls().to_numpy()
    if not len(values):
        return -np.inf, np.inf
    low, high = np.quantile(values, [0.25, 0.75])
    if low == high:
        return (
            -np.inf if column.low is None else column.low,
            np.inf if column.high is None else column.high,
        )
    reach = evidence.policy.outlier_iqr * (high - low)
    return float(low - reach), float(high + reach)


def _outside(evidence: Evidence, name: str, low: float, high: float) -> float:
    values = evidence.fresh[name].drop_nulls()
    return float(((values < low) | (values > high)).mean() or 0.0)  # type: ignore[arg-type] # a float


def _over(evidence: Evidence, name: str, value: float, fence: tuple[float, float]) -> Finding:
    n = evidence.fresh[name].count()
    limit = evidence.policy.outliers
    return Finding(
        f"outliers:{name}",
        Verdict.FAIL,
        f"{share(value)} of {name} lies outside {fence[0]:.4g} to {fence[1]:.4g}, "
        f"limit {share(limit)}",
        measured=value,
        limit=limit,
        n=n,
        passes_if=f"at most {count(int(limit * n))} values of {name} outside the fences",
    )
