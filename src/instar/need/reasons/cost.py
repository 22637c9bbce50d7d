"""Cost: what waiting costs, against what an update costs."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import Policy
from instar.need.economics import Best, best, price, staleness, worth
from instar.need.evidence import DAY, Claim, Evidence


def cost(evidence: Evidence, policy: Policy) -> Claim:
    """Ask for an update when the cheapest period has gone by.

    The measured value is that period, held against the days that went by.
    """
    found = best(evidence, policy)
    if found is None:
        return Claim(_unknown(evidence, policy))
    at = evidence.judged + found.days * DAY
    due = at <= evidence.now
    return Claim(
        Finding(
            "cost",
            Verdict.FAIL if due else Verdict.PASS,
            _said(found, evidence, policy),
            measured=found.days,
            limit=evidence.waited_days,
            unit="days",
            interval=found.interval,
            n=found.decay.n,
            passes_if="an update" if due else "",
        ),
        at=at,
    )


def _said(found: Best, evidence: Evidence, policy: Policy) -> str:
    cost, value = found.cost, worth(policy)
    computing = "not metered" if cost.computing is None else f"{cost.computing:.3g}"
    lost = staleness(value, found.decay.rate, evidence.age_days)
    return (
        f"an update costs {cost.total:.3g} (computing {computing}, flips {cost.flips:.3g}, people "
        f"{cost.people:.3g}), a point {value / 100:.3g} a day: every {found.days:.1f} days is "
        f"cheapest ({found.interval.low:.1f} to {found.interval.high:.1f}); "
        f"{evidence.waited_days:.1f} have gone by, and staleness has cost {lost:.3g} so far"
    )


def _unknown(evidence: Evidence, policy: Policy) -> Finding:
    free = not policy.plan.value_per_point
    return Finding(
        "cost",
        Verdict.INCONCLUSIVE,
        "a point is worth nothing (plan.value_per_point), so staleness costs nothing"
        if free
        else f"an update costs {price(evidence, policy).total:.3g}; what staleness costs is not "
        "known without a proven decay",
        passes_if="a worth of a point above 0" if free else "looks at how champions age",
        unit="days",
    )
