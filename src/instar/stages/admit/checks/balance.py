"""Compare how frequent the classes are."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.pictures import bars
from instar.stages.admit.words import share


def balance(evidence: Evidence) -> list[Finding]:
    """Hold the difference between the largest and the smallest class share against the limit.

    Of labels that each hold or do not hold, the difference between yes and no is the one that
    counts, and the label for which it is largest is named.
    """
    if evidence.marks is None:
        return []
    _, marks = evidence.marks
    shares = dict(zip(marks.names, marks.shares.tolist(), strict=True))
    if marks.apart:
        return [_label(evidence, shares)]
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


def _label(evidence: Evidence, shares: dict[str, float]) -> Finding:
    apart = {name: abs(1 - 2 * value) for name, value in shares.items()}
    name, limit = max(apart, key=apart.__getitem__), evidence.policy.balance
    good = apart[name] <= limit
    rarer = "yes" if shares[name] < 0.5 else "no"
    return Finding(
        "balance",
        Verdict.PASS if good else Verdict.FAIL,
        f"{name} holds in {share(shares[name])} of the rows where it is known: "
        f"{100 * apart[name]:.3g} points between yes and no, limit {100 * limit:.3g}",
        measured=apart[name],
        unit="share",
        limit=limit,
        n=evidence.labelled.height,
        passes_if="" if good else f"more rows with {rarer} in {name}, or a higher admit.balance",
        enforced=evidence.policy.balance_enforced,
        picture=bars({each: 100 * value for each, value in shares.items()}, None, "%"),
    )
