"""Whether probabilities mean what they say."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.stages.validate import pictures
from instar.stages.validate.evidence import Evidence
from instar.stats.metrics import score
from instar.tasks import form_of


def calibration(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Report the expected calibration error; a limit on `ece` makes it decide."""
    if not evidence.task.kind.judged:
        return ()
    rows = evidence.fresh
    form = form_of(evidence.task)
    cells = [pictures.thinned(*form.cells(s, rows.labels)) for s in (rows.candidate, rows.champion)]
    now, before = (score("ece", *each) for each in cells)
    return (
        Finding(
            "calibration",
            Verdict.PASS,
            f"probabilities are off by {now:.3f} on average, the champion's by {before:.3f}",
            measured=now,
            unit="ece",
            n=len(cells[0][1]),
            enforced=False,
            picture=pictures.calibration(rows, form),
        ),
    )
