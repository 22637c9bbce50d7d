"""Count fresh rows that stand in the champion's holdout."""

from __future__ import annotations

import numpy as np

from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence, Held
from instar.stages.admit.words import count, names, share


def holdout_shared(evidence: Evidence) -> list[Finding | Held]:
    """Count fresh rows that the champion was held against: learnt from, they spoil the exam.

    Rows of a coarse table agree by chance. How often is seen from the champion's own training rows,
    which were kept apart from the holdout; that much is allowed on top of the limit. Shared
    rows are held back in any case.
    """
    key = evidence.key
    known = evidence.holdout.select(key).hash_rows()
    shared = evidence.fresh.select(key).hash_rows().is_in(known.implode())
    chance = float(evidence.train.select(key).hash_rows().is_in(known.implode()).mean() or 0.0)  # type: ignore[arg-type] # a float
    rows = shared.arg_true().to_numpy().astype(np.int64)
    n, limit = evidence.fresh.height, evidence.policy.holdout_shared + chance
    value = len(rows) / n
    good = value <= limit
    by_chance = f" ({share(chance)} agree by chance)" if chance else ""
    where = f" (rows {names(str(row) for row in rows)})" if len(rows) else ""
    finding = Finding(
        "holdout_shared",
        Verdict.PASS if good else Verdict.FAIL,
        f"{count(len(rows))} of {count(n)} rows also stand in the champion's holdout{where}: "
        f"{share(value)}, limit {share(limit)}{by_chance}",
        measured=value,
        unit="share",
        limit=limit,
        n=n,
        passes_if=""
        if good
        else "a file without those rows, or a higher admit.holdout_shared if rows agree by chance",
    )
    return [finding, Held(rows, "stands in the champion's holdout", "")] if len(rows) else [finding]
