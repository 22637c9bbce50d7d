"""The calendar, as a backstop: an update at the latest after so many days."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import Policy
from instar.need.evidence import DAY, Claim, Evidence


def age(evidence: Evidence, policy: Policy) -> Claim:
    """Ask for an update once `cadence.max_days` have gone by without one."""
    waited, most = evidence.waited_days, policy.cadence.max_days
    served = f"{evidence.champion} has served for {evidence.age_days:.1f} days"
    since = f"; {waited:.1f} since it was last judged" if waited < evidence.age_days else ""
    at = evidence.judged + most * DAY
    late = at <= evidence.now
    return Claim(
        Finding(
            "age",
            Verdict.FAIL if late else Verdict.PASS,
            f"{served}{since}; at the latest after {most:g}",
            measured=waited,
            limit=most,
            unit="days",
            passes_if="an update" if late else "",
        ),
        at=at,
    )
