"""Which classes are taken for which."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.stages.validate import pictures
from instar.stages.validate.evidence import Evidence
from instar.stats.metrics import score

LARGEST = 30  # classes that a matrix can show


def confusion(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Report the confusion matrices of both versions."""
    classes = evidence.task.classes
    if not evidence.task.kind.judged:
        return ()
    rows = evidence.fresh
    right = score("accuracy", rows.candidate, rows.labels)
    return (
        Finding(
            "confusion",
            Verdict.PASS,
            f"{right:.2%} of {len(rows)} rows are answered rightly",
            measured=right,
            unit="accuracy",
            n=len(rows),
            enforced=False,
            picture=pictures.confusion(rows, classes) if len(classes) <= LARGEST else {},
        ),
    )
