"""Live quality over a window of late labels, against what the holdout promised."""

from __future__ import annotations

from typing import Any

import numpy as np

from instar.core.finding import Finding, Verdict
from instar.core.policy import WatchPolicy
from instar.stages.watch.evidence import Evidence
from instar.stats.bootstrap import bootstrap
from instar.stats.metrics import fitting
from instar.tasks import form_of

# Looked at again and again over overlapping windows: an alert has to be beyond this interval too.
_LEVEL = 0.98
_RESAMPLES = 400
_PER_CLASS = 50  # labels of the rarer class, below which AUROC says little
_PARTS = 20


def live_quality(evidence: Evidence, policy: WatchPolicy) -> tuple[Finding, ...]:
    """Ask of each metric whether it fell by more than the policy allows, and not by chance."""
    if not form_of(evidence.task).live:
        return (_unseen(evidence),)
    return tuple(_judge(name, evidence, policy) for name in form_of(evidence.task).live)


def _unseen(evidence: Evidence) -> Finding:
    return Finding(
        "live_quality",
        Verdict.INCONCLUSIVE,
        f"labels of a {evidence.task.kind.value} task do not come one by one",
        passes_if="labelled rows in the next update's data: instar check, instar update",
        enforced=False,
    )


def _judge(name: str, evidence: Evidence, policy: WatchPolicy) -> Finding:
    code, n = f"live_quality:{name}", len(evidence.labels)
    promised = evidence.metrics.get(name)
    if promised is None:
        message = f"the champion's {name} on its holdout is not known"
        return Finding(code, Verdict.ERROR, message, passes_if="adopt it with a holdout")
    if lacking := _lacking(name, evidence, policy):
        return Finding(
            code,
            Verdict.INCONCLUSIVE,
            f"{n:,} labels have come",
            limit=promised - policy.drop,
            n=n,
            passes_if=f"{lacking:,} more labels",
            labels_needed=lacking,
            enforced=not name.endswith("auroc"),
        )
    found = bootstrap(
        fitting(evidence.task)[name],
        evidence.scores,
        _labels(evidence),
        resamples=_RESAMPLES,
        level=_LEVEL,
        seed=evidence.seed,
    )
    fell = found.value < promised - policy.drop and found.interval.high < promised
    return Finding(
        code,
        Verdict.FAIL if fell else Verdict.PASS,
        f"{name} {found.value:.4f} over the last {n:,} labels, {promised:.4f} on the holdout",
        measured=found.value,
        limit=promised - policy.drop,
        unit=name,
        interval=found.interval,
        n=n,
        passes_if=f"{name} of at least {promised - policy.drop:.4f}" if fell else "",
        picture=_course(name, evidence, promised),
    )


def _lacking(name: str, evidence: Evidence, policy: WatchPolicy) -> int:
    n = len(evidence.labels)
    if n < policy.window:
        return policy.window - n
    if not name.endswith("auroc"):
        return 0
    labels = evidence.labels.reshape(n, -1)  # (n, 1), or a column a label
    rarer = min(int((labels == label).sum(axis=0).min()) for label in (0, 1))
    return max(_PER_CLASS - rarer, 0)


def _labels(evidence: Evidence) -> Any:
    return form_of(evidence.task).typed(evidence.labels)


def _course(name: str, evidence: Evidence, promised: float) -> dict[str, Any]:
    """Draw the metric over growing parts of the window."""
    labels, metric = _labels(evidence), fitting(evidence.task)[name]
    ends = np.unique(np.linspace(0, len(labels), _PARTS + 1).astype(int))[5:]
    live = [metric(evidence.scores[:end], labels[:end]) for end in ends]
    return {
        "kind": "lines",
        "x": [int(end) for end in ends],
        "series": [
            {"name": "live", "y": [float(f"{value:.4g}") for value in live]},
            {"name": "holdout", "y": [float(f"{promised:.4g}")] * len(ends)},
        ],
        "x_label": "labels",
        "y_label": name,
    }
