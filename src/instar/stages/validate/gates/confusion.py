"""Which classes are taken for which."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.stages.validate import pictures
from instar.stages.validate.evidence import Evidence
from instar.tasks import form_of

LARGEST = 30  # classes that a matrix can show


def confusion(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Report the confusion matrices of both versions."""
    form = form_of(evidence.task)
    classes = form.names(evidence.task)
    if not evidence.task.kind.judged:
        return ()
    rows = evidence.fresh
    right = int(form.right(rows.candidate, rows.labels, evidence.task).sum())
    n = int(form.known(rows.labels).sum())
    return (
        Finding(
            "confusion",
            Verdict.PASS,
            f"{right / n:.2%} of {n} {form.cell} are answered rightly",
            measured=right / n,
            unit="accuracy",
            n=n,
            enforced=False,
            picture=pictures.confusion(rows, evidence.task) if len(classes) <= LARGEST else {},
        ),
    )
