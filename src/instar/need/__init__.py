"""Whether an update is due: decided by need (drift, decay, cost), within bounds of the calendar.

Pure functions of records; nothing is trained, asked or measured here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from instar.core.finding import Finding, Verdict
from instar.core.policy import CadencePolicy, Policy
from instar.need.evidence import DAY, Claim, Evidence, Fall, Price, Probed
from instar.need.reasons import REASONS, Reason

__all__ = [
    "DAY",
    "REASONS",
    "Claim",
    "Evidence",
    "Fall",
    "Need",
    "Price",
    "Probed",
    "Reason",
    "earliest",
    "need",
]


@dataclass(frozen=True, slots=True)
class Need:
    """Whether an update is due now, why, and when if not.

    `at` is the date from which it is due, in seconds since the epoch, None while one is open;
    `rows` how many fresh labelled rows it should bring.
    """

    due: bool
    reason: str
    at: float | None
    rows: int
    findings: tuple[Finding, ...]


def need(evidence: Evidence, policy: Policy) -> Need:
    """Ask every reason, and decide.

    The first reason that asks decides, but `cadence.min_days` lie between two updates whatever
    asks, and no second update comes beside one that is open.

    Example:
        >>> seen = Evidence(now=8 * DAY, champion="v1", since=0.0, begun=0.0, judged=0.0)
        >>> found = need(seen, Policy(cadence=CadencePolicy(max_days=7.0)))
        >>> found.due, found.reason
        (True, 'age: v1 has served for 8.0 days; at the latest after 7')
    """
    claims = [reason(evidence, policy) for reason in REASONS.values()]
    asking = [claim for claim in claims if claim.at is not None]
    first = min((claim.at for claim in asking if claim.at is not None), default=None)
    at = None if first is None else max(first, earliest(evidence, policy.cadence))
    due = not evidence.open and at is not None and at <= evidence.now
    return Need(
        due=due,
        reason=_reason(evidence, policy.cadence, asking, at),
        at=None if evidence.open else at,
        rows=max((claim.rows for claim in claims), default=0),
        findings=tuple(claim.finding for claim in claims),
    )


def earliest(evidence: Evidence, cadence: CadencePolicy) -> float:
    """Say from when on `cadence.min_days` allows the next update."""
    return evidence.begun + cadence.min_days * DAY


def _reason(
    evidence: Evidence, cadence: CadencePolicy, asking: list[Claim], at: float | None
) -> str:
    if evidence.open:
        return f"{evidence.open} is open: finish it first"
    loud = [claim.finding for claim in asking if claim.finding.verdict is Verdict.FAIL]
    said = "; ".join(f"{finding.code}: {finding.message}" for finding in loud)
    if at is None:
        return "nothing asks for an update, and no reason says when it will"
    if at <= evidence.now:
        return said
    if loud:
        days = (evidence.now - evidence.begun) / DAY
        return (
            f"{said}; but the last update began {days:.1f} days ago, and cadence.min_days is "
            f"{cadence.min_days:g}"
        )
    next_one = min(asking, key=lambda claim: claim.at or 0.0).finding
    return f"nothing asks for an update yet; {next_one.code} will on {day(at)}"


def day(at: float) -> str:
    """Write a date for people, in UTC.

    Example:
        >>> day(0.0)
        '1970-01-01 00:00'
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
