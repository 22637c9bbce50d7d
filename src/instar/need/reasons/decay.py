"""Decay: how many points of the primary metric champions lose a day."""

from __future__ import annotations

from instar.core.finding import Finding, Interval, Verdict
from instar.core.policy import Policy
from instar.need.evidence import Claim, Evidence
from instar.need.fit import LEAST, Decay
from instar.need.fit import decay as fitted


def decay(evidence: Evidence, policy: Policy) -> Claim:
    """Measure the decay; by itself it asks for nothing, since a loss has to be worth an update."""
    found = fitted(evidence, policy.cadence)
    return Claim(_unknown(evidence) if found is None else _measured(evidence, found))


def _unknown(evidence: Evidence) -> Finding:
    seen = sum(fall.days > 0 for fall in evidence.falls)
    return Finding(
        "decay",
        Verdict.INCONCLUSIVE,
        f"{seen} looks at how champions aged, too few to fit a line: the calendar decides",
        n=seen,
        unit="points a day",
        passes_if=f"{LEAST - seen} more updates, which measure the drop on fresh rows",
        enforced=False,
    )


def _measured(evidence: Evidence, found: Decay) -> Finding:
    points = Interval(100 * found.interval.low, 100 * found.interval.high, found.interval.level)
    said = (
        f"champions lost {100 * found.rate:.3g} points of {evidence.metric} a day "
        f"({points.low:.3g} to {points.high:.3g}) in {found.n} looks"
    )
    return Finding(
        "decay",
        Verdict.FAIL if found.sure else Verdict.PASS,
        said if found.sure else f"{said}: no loss is proven, and the calendar decides",
        measured=100 * found.rate,
        limit=0.0,
        unit="points a day",
        interval=points,
        n=found.n,
        passes_if="a successor" if found.sure else "",
        enforced=False,
    )
