"""How many rows the champion got right and the candidate gets wrong."""

from __future__ import annotations

import numpy as np

from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.stages.validate.evidence import Evidence, Rows
from instar.stages.validate.pictures import examples
from instar.stats.mcnemar import mcnemar
from instar.stats.proportion import wilson
from instar.tasks import form_of


def flips(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Count negative flips on fresh and on old rows, and show those most sure of themselves."""
    if not evidence.task.kind.judged:
        return ()  # a number is not right or wrong
    found = [_judge("flips:fresh", evidence, evidence.fresh, policy.flips.max, policy)]
    if evidence.old is not None:
        found.append(_judge("flips:old", evidence, evidence.old, policy.flips.old_max, policy))
    return tuple(found)


def _judge(
    code: str, evidence: Evidence, rows: Rows, limit: float, policy: ValidatePolicy
) -> Finding:
    form, task = form_of(evidence.task), evidence.task
    before, now = (form.right(s, rows.labels, task) for s in (rows.champion, rows.candidate))
    lost, won, chance = mcnemar(before, now)
    share = lost / len(rows)
    passed = share <= limit
    flipped = np.flatnonzero(before & ~now)
    surest = flipped[np.argsort(-rows.candidate[flipped].max(axis=1), kind="stable")]
    how = evidence.candidate.preprocessing
    return Finding(
        code,
        Verdict.PASS if passed else Verdict.FAIL,
        f"{share:.2%} of the rows were right and are wrong now ({lost} lost, {won} won; "
        f"McNemar p = {chance:.2g})",
        measured=share,
        limit=limit,
        unit="share",
        interval=wilson(lost, len(rows), policy.confidence),
        n=len(rows),
        passes_if="" if passed else f"at most {int(limit * len(rows))} of these rows are lost",
        picture=examples(rows, surest.tolist(), task, how) if lost else {},
    )
