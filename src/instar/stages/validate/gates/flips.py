"""How many rows the champion got right and the candidate gets wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from instar.core.finding import Finding, Interval, Verdict
from instar.core.policy import ValidatePolicy
from instar.stages.validate.evidence import Evidence, Rows
from instar.stages.validate.pictures import examples
from instar.stats.bootstrap import bounded_share
from instar.stats.mcnemar import mcnemar
from instar.stats.proportion import wilson
from instar.tasks import form_of


def flips(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Count negative flips on fresh and on old rows, and show those most sure of themselves.

    Counted is what can be right or wrong: a row, or each label of a row.
    """
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
    lost, won, chance = mcnemar(before.ravel(), now.ravel())
    cells = form.known(rows.labels)
    n = int(cells.sum())
    share = lost / n
    passed = share <= limit
    each = _by_row(before & ~now)  # (n,)
    told = f"McNemar p = {chance:.2g}" if cells.ndim == 1 else f"in {(each > 0).sum()} rows"
    return Finding(
        code,
        Verdict.PASS if passed else Verdict.FAIL,
        f"{share:.2%} of the {form.cell} were right and are wrong now ({lost} lost, {won} won; "
        f"{told})",
        measured=share,
        limit=limit,
        unit="share",
        interval=_interval(each, _by_row(cells), policy, evidence.seed),
        n=n,
        passes_if="" if passed else f"at most {int(limit * n)} of these {form.cell} are lost",
        picture=examples(rows, _shown(each, rows), task, evidence.candidate.preprocessing)
        if lost
        else {},
    )


def _by_row(cells: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(cells.reshape(len(cells), -1).sum(axis=1), np.float64)


def _interval(
    lost: NDArray[np.float64], cells: NDArray[np.float64], policy: ValidatePolicy, seed: int
) -> Interval:
    """Bound the share; what stands in one row is lost together, so that rows are drawn."""
    if cells.max() <= 1:
        return wilson(int(lost.sum()), int(cells.sum()), policy.confidence)
    return bounded_share(
        lost, cells, resamples=policy.resamples, level=policy.confidence, seed=seed
    )


def _shown(lost: NDArray[np.float64], rows: Rows) -> list[int]:
    """Order the rows with a flip: most flips first, then those most sure of themselves."""
    flipped = np.flatnonzero(lost)
    sure = rows.candidate[flipped].reshape(len(flipped), -1).max(axis=1)
    places: list[int] = flipped[np.lexsort((-sure, -lost[flipped]))].tolist()
    return places
