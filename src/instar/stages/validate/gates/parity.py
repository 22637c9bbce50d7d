"""Whether the sealed bundle answers like the network that was trained."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.data import preprocessing as prepare
from instar.models.predict import logits, probabilities
from instar.stages.validate.evidence import Evidence
from instar.stats.metrics import fitting
from instar.tasks import form_of

APART = 0.02  # by which accuracy (for a regression: R²) may differ between runtimes


def parity(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Hold the trained network's answers to the fresh test rows against the bundle's."""
    rows, task = evidence.fresh, evidence.task
    inputs = prepare.inputs(rows.frame, evidence.candidate.preprocessing)
    network = probabilities(logits(evidence.network(), inputs), task)
    form = form_of(task)
    name = form.agreement
    metric = fitting(task)[name]
    trained, sealed = (metric(s, rows.labels) for s in (network, rows.candidate))
    apart = abs(trained - sealed)
    passed = apart <= APART
    return (
        Finding(
            "parity",
            Verdict.PASS if passed else Verdict.FAIL,
            f"{name} is {trained:.4f} in PyTorch and {sealed:.4f} in the sealed "
            f"{evidence.bundle.precision.upper()} bundle; a score differs by at most "
            f"{form.apart(network, rows.candidate).max():.2g}",
            measured=apart,
            limit=APART,
            unit=name,
            n=len(rows),
            passes_if="" if passed else f"they differ by at most {APART:g}",
        ),
    )
