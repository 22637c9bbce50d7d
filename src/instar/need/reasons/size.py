"""Size: how many fresh labelled rows the next update needs, so that its gain can be seen."""

from __future__ import annotations

import math
import statistics

from instar.core.finding import Finding, Verdict
from instar.core.policy import Policy
from instar.need.economics import best
from instar.need.evidence import Claim, Evidence
from instar.need.fit import decay, row_age


def size(evidence: Evidence, policy: Policy) -> Claim:
    """Say how many rows; it never asks for an update by itself.

    The interval of a gain shrinks as 1 / sqrt(n): from past probes follows at how many rows half
    its width is the expected gain. The gates' own minimum counts beside it.
    """
    least = max(policy.admit.min_rows, evidence.wanted)
    gain = expected(evidence, policy)
    seen = None if gain is None else to_see(gain, evidence)
    rows = max(least, seen or 0)
    last = "" if evidence.rows is None else f"; the last update had {evidence.rows:,}"
    if gain is None or seen is None:
        why = "what more would show is not known without a proven decay and a past probe"
    else:
        why = f"to see a gain of {100 * gain:.3g} points it takes {seen:,}, the gates {least:,}"
    return Claim(
        Finding(
            "size",
            Verdict.INCONCLUSIVE if seen is None else Verdict.PASS,
            f"about {rows:,} labelled rows{last} ({why})",
            measured=float(rows),
            limit=float(least),
            unit="labelled rows",
            n=evidence.rows,
            enforced=False,
        ),
        rows=rows,
    )


def expected(evidence: Evidence, policy: Policy) -> float | None:
    """Say what the next update should gain on its fresh rows, a fraction of the metric.

    Decay times age, on the day on which it will be due; never below `plan.min_gain`, under which
    the champion would be kept. None where no decay is proven.
    """
    found = decay(evidence, policy.cadence)
    if found is None or not found.sure:
        return None
    cheapest = best(evidence, policy)
    waits = cheapest.days if cheapest else policy.cadence.max_days
    bounded = min(max(waits, policy.cadence.min_days), policy.cadence.max_days)
    left = max(0.0, bounded - evidence.waited_days)
    days = row_age(evidence.age_days + left, None, policy.cadence)
    return max(found.rate * days, policy.plan.min_gain)


def to_see(gain: float, evidence: Evidence) -> int | None:
    """Count the labelled rows at which a gain is as large as half its interval; None unknown.

    Example:
        >>> from instar.need.evidence import Probed
        >>> past = Evidence(0.0, "v", 0.0, 0.0, 0.0, probes=(Probed(3_000, 1_000, 0.02),))
        >>> to_see(0.01, past), to_see(0.02, past)
        (12000, 3000)
    """
    usable = [one for one in evidence.probes if one.n and one.reach > 0]
    if not usable or gain <= 0:
        return None
    # Rows of the whole update at which half the interval would be 1, by each probe.
    unit = statistics.median(one.rows * one.reach**2 for one in usable)
    return math.ceil(unit / gain**2 - 1e-9)
