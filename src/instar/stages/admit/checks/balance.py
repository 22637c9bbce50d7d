"""Compare how frequent the classes are."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.pictures import bars
from instar.stages.admit.words import share


def balance(evidence: Evidence) -> list[Finding]:
    """Hold the difference between the largest and the smallest class share against the limit."""
    if evidence.marks is None:
        return []
    _, marks = evidence.marks
    shares = dict(zip(marks.names, marks.shares.tolist(), strict=True))
    most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
    apart, limit = shares[most] - shares[least], evidence.policy.balance
    good = apart <= limit
    return [
        Finding(
            "balance",
            Verdict.PASS if good else Verdict.FAIL,
            f"{share(shares[most])} of the labels are {most!r}, {share(shares[least])} "
            f"{least!r}: {100 * apart:.3g} points apart, limit {100 * limit:.3g}",
            measured=apart,
            unit="share",
            limit=limit,
            n=len(marks.values),
            passes_if="" if good else f"more rows of {least!r}, or a higher admit.balance",
            enforced=evidence.policy.balance_enforced,
            picture=bars({name: 100 * value for name, value in shares.items()}, None, "%"),
        )
    ]
