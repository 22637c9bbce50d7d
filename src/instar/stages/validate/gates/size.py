"""How large the bundle is."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.stages.validate.evidence import Evidence
from instar.stages.validate.pictures import bars


def size(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Add up the bundle's files."""
    files = evidence.bundle.files
    total = sum(file.size for file in files) / 1e6
    passed = total <= policy.size_mb
    return (
        Finding(
            "size",
            Verdict.PASS if passed else Verdict.FAIL,
            f"the bundle has {total:.3g} MB in {len(files)} files",
            measured=total,
            limit=policy.size_mb,
            unit="MB",
            passes_if="" if passed else f"it has at most {policy.size_mb:g} MB",
            picture=bars([(f.name, f.size / 1e6) for f in files], policy.size_mb, "MB"),
        ),
    )
