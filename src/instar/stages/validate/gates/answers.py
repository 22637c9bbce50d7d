"""Whether the bundle answers every row with numbers."""

from __future__ import annotations

import numpy as np

from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.stages.validate.evidence import Evidence, Scores


def answers(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Look for rows without a finite score, on fresh and old rows."""
    sets = [rows for rows in (evidence.fresh, evidence.old) if rows is not None]
    total = sum(len(rows) for rows in sets)
    missing = {
        who: sum(int((~np.isfinite(_flat(getattr(r, who))).all(axis=1)).sum()) for r in sets)
        for who in ("candidate", "champion")
    }
    share = missing["candidate"] / total
    found = Finding(
        "answers",
        Verdict.FAIL if share else Verdict.PASS,
        f"{missing['candidate']} of {total} rows are not answered with finite scores",
        measured=share,
        limit=0.0,
        unit="share",
        n=total,
        passes_if="every row gets finite scores" if share else "",
    )
    if not missing["champion"]:
        return (found,)
    broken = Finding(
        "answers:champion",
        Verdict.ERROR,
        f"the champion does not answer {missing['champion']} of {total} rows: nothing to compare",
        passes_if="the champion answers every row",
    )
    return found, broken


def _flat(scores: Scores) -> Scores:
    return scores.reshape(len(scores), -1)
