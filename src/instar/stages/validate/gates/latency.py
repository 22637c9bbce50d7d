"""How long one row takes through the bundle."""

from __future__ import annotations

import time

import numpy as np

from instar.bundle.runtime import ServedBundle
from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.data import preprocessing as prepare
from instar.stages.validate.evidence import Evidence
from instar.stages.validate.pictures import bars

CALLS = 300  # a p99 needs a few hundred
LONGEST_S = 3.0  # a slow bundle has shown itself by then
ROWS = 50  # different rows in turn


def latency(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Measure the p99 of one row in this process, the champion's beside it."""
    times = {
        name: _times(version, evidence)
        for name, version in (("champion", evidence.champion), ("candidate", evidence.candidate))
    }
    p99 = float(np.quantile(times["candidate"], 0.99))
    passed = p99 <= policy.latency_ms
    shown = [
        (f"{name}, {label}", float(np.quantile(values, q)))
        for name, values in times.items()
        for label, q in (("median", 0.5), ("p99", 0.99))
    ]
    return (
        Finding(
            "latency",
            Verdict.PASS if passed else Verdict.FAIL,
            f"one row takes {p99:.3g} ms at the 99th percentile, "
            f"{np.median(times['candidate']):.3g} ms at the median",
            measured=p99,
            limit=policy.latency_ms,
            unit="ms",
            n=len(times["candidate"]),
            passes_if="" if passed else f"the p99 is at most {policy.latency_ms:g} ms",
            picture=bars(shown, policy.latency_ms, "ms"),
        ),
    )


def _times(version: ServedBundle, evidence: Evidence) -> list[float]:
    columns = prepare.columns(evidence.fresh.frame.head(ROWS), version.preprocessing)
    count = min(ROWS, len(evidence.fresh))
    single = [{name: v[i : i + 1] for name, v in columns.items()} for i in range(count)]
    version.warm()
    times: list[float] = []
    end = time.perf_counter() + LONGEST_S
    while len(times) < CALLS and time.perf_counter() < end:
        start = time.perf_counter()
        version.predict(single[len(times) % count])
        times.append((time.perf_counter() - start) * 1e3)
    return times
