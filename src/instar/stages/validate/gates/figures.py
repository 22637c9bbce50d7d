"""Every metric of both versions, side by side."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.stages.validate.evidence import Evidence, measure
from instar.stages.validate.pictures import table


def figures(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Report all metrics of the task, on fresh test rows and on the old holdout."""
    champion, candidate = measure(evidence, "champion"), measure(evidence, "candidate")
    names = [name for name in champion if not name.endswith("@old")]
    columns = ["metric", "champion", "candidate"]
    lines = [[name, champion[name], candidate[name]] for name in names]
    if evidence.old is not None:
        columns += ["champion, old rows", "candidate, old rows"]
        for line, name in zip(lines, names, strict=True):
            line += [champion[f"{name}@old"], candidate[f"{name}@old"]]
    return (
        Finding(
            "figures",
            Verdict.PASS,
            f"{len(names)} metrics of both versions on the same rows",
            n=len(evidence.fresh),
            enforced=False,
            picture=table(columns, lines),
        ),
    )
