"""Count the labelled rows."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.words import count


def rows(evidence: Evidence) -> list[Finding]:
    """Count labelled rows; where the policy refuses unlabelled ones, count those too."""
    labelled, limit = evidence.labelled.height, evidence.policy.min_rows
    enough = labelled >= limit
    findings = [
        Finding(
            "rows",
            Verdict.PASS if enough else Verdict.FAIL,
            f"{count(labelled)} of {count(evidence.fresh.height)} rows have a label; "
            f"an update needs {count(limit)}",
            measured=labelled,
            limit=limit,
            unit="rows",
            n=evidence.fresh.height,
            passes_if="" if enough else f"{count(limit - labelled)} more labelled rows",
        )
    ]
    without = evidence.fresh.height - labelled
    if without and evidence.policy.unlabelled == "refuse":
        findings.append(_unlabelled(evidence, without))
    return findings


def _unlabelled(evidence: Evidence, without: int) -> Finding:
    return Finding(
        f"rows:{evidence.task.shown}",
        Verdict.FAIL,
        f"{count(without)} rows have no label in {evidence.task.shown}; the policy refuses them",
        measured=without,
        limit=0,
        unit="rows",
        n=evidence.fresh.height,
        passes_if="a label in every row, or admit.unlabelled: drop or keep",
    )
