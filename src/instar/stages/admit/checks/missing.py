"""Measure how much of each column is missing."""

from __future__ import annotations

from instar.core.data import Role
from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.pictures import bars
from instar.stages.admit.words import count, share


def missing(evidence: Evidence) -> list[Finding]:
    """Hold each feature's share of missing values against the limit.

    A column that the policy imputes may miss more: that is reported, and does not refuse.
    """
    limit, n = evidence.policy.missing, evidence.fresh.height
    shares = {
        column.name: evidence.fresh[column.name].null_count() / n
        for column in evidence.schema.of(Role.FEATURE)
    }
    picture = bars({name: 100 * value for name, value in shares.items()}, 100 * limit, "%")
    over = [name for name in shares if shares[name] > limit]
    findings = [_over(evidence, name, shares[name]) for name in over]
    if not any(finding.enforced for finding in findings):
        worst = max((value for name, value in shares.items() if name not in over), default=0.0)
        findings.insert(0, _headline(len(shares) - len(over), worst, limit, n, picture))
    return findings


def _headline(columns: int, worst: float, limit: float, n: int, picture: dict) -> Finding:  # type: ignore[type-arg] # plain JSON
    return Finding(
        "missing",
        Verdict.PASS,
        f"{columns} columns miss at most {share(worst)} of their values; the limit is "
        f"{share(limit)}",
        measured=worst,
        unit="share",
        limit=limit,
        n=n,
        picture=picture,
    )


def _over(evidence: Evidence, name: str, value: float) -> Finding:
    limit, n = evidence.policy.missing, evidence.fresh.height
    imputed = name in evidence.policy.impute
    before = evidence.schema[name].missing
    message = (
        f"{share(value)} of {name} is missing ({count(round(value * n))} of {count(n)} rows), "
        f"limit {share(limit)}; {share(before)} when the champion was trained"
    )
    return Finding(
        f"missing:{name}",
        Verdict.FAIL,
        message + ("; the policy fills it" if imputed else ""),
        measured=value,
        unit="share",
        limit=limit,
        n=n,
        passes_if=f"{name} missing in at most {count(int(limit * n))} rows"
        + ("" if imputed else f", or {name} under admit.impute"),
        enforced=not imputed,
    )
