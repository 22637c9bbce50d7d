"""Whether two forms of one network answer alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar.core.data import Task
from instar.core.finding import Finding, Verdict
from instar.stats.metrics import fitting
from instar.tasks import Form, form_of

Scores = NDArray[np.floating[Any]]
_PLAIN = Form()
AGREEMENT = 0.02  # by which accuracy (or R²) may differ between runtimes


def network_parity(
    network: Scores,
    graph: Scores,
    outputs: tuple[str, ...],
    limit: float,
    form: Form = _PLAIN,
) -> Finding:
    """Hold the trained network's scores (n, k, ...) against those of its FP32 graph, per output.

    One output of a regression is measured in standard deviations of the network's answers. `form`
    says how answers are apart.
    """
    unit = float(network.std()) or 1.0 if len(outputs) == 1 else 1.0
    each = form.apart(network, graph).max(axis=0) / unit  # (k,)
    furthest = float(each.max())
    passed = furthest <= limit  # NaN is not
    return Finding(
        "parity:fp32",
        Verdict.PASS if passed else Verdict.FAIL,
        f"the FP32 graph differs from the trained network by at most {furthest:.2g}",
        measured=furthest,
        limit=limit,
        unit="sd" if len(outputs) == 1 else "probability",
        n=len(network),
        passes_if=""
        if passed
        else "the graph answers like the network: look for operations "
        "that behave differently in training, or raise package.parity",
        picture={
            "kind": "bars",
            "items": [
                {"label": name, "value": float(f"{value:.4g}")}
                for name, value in list(zip(outputs, each.tolist(), strict=True))[:30]
            ],
            "limit": limit,
            "unit": "",
        },
    )


def disagreement(task: Task, plain: Scores, served: Scores, labels: NDArray[Any]) -> float:
    """Measure by how much the accuracy (for a regression: R²) of two graphs differs."""
    metric = fitting(task)[form_of(task).agreement]
    return abs(metric(plain, labels) - metric(served, labels))


def served_parity(task: Task, plain: Scores, served: Scores, labels: NDArray[Any]) -> Finding:
    """Hold the served graph against the FP32 graph on labelled rows."""
    apart = disagreement(task, plain, served, labels)
    passed = apart <= AGREEMENT
    furthest = float(np.abs(plain - served).max())
    return Finding(
        "parity:served",
        Verdict.PASS if passed else Verdict.FAIL,
        f"accuracy differs by {apart:.2%} between the FP32 graph and the one that serves, "
        f"a score by at most {furthest:.2g}",
        measured=apart,
        limit=AGREEMENT,
        n=len(labels),
        passes_if="" if passed else f"the two differ by at most {AGREEMENT:.0%}",
    )
