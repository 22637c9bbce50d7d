"""Count rows that stand there twice."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.words import count, names, share


def duplicates(evidence: Evidence) -> list[Finding]:
    """Count rows that repeat an earlier one in all features, the target and the time."""
    prints = evidence.fresh.select(evidence.key).hash_rows()
    again = (~prints.is_first_distinct()).arg_true()
    n, limit = evidence.fresh.height, evidence.policy.duplicates
    value = len(again) / n
    good = value <= limit
    where = f" (rows {names(str(row) for row in again)})" if len(again) else ""
    return [
        Finding(
            "duplicates",
            Verdict.PASS if good else Verdict.FAIL,
            f"{count(len(again))} of {count(n)} rows repeat an earlier one{where}: "
            f"{share(value)}, limit {share(limit)}",
            measured=value,
            unit="share",
            limit=limit,
            n=n,
            passes_if=""
            if good
            else f"at most {count(int(limit * n))} repeated rows, or a higher admit.duplicates",
        )
    ]
