"""Drift: a signal of production that has gone off asks for an update at once."""

from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.core.policy import Policy
from instar.need.evidence import DAY, Claim, Evidence


def drift(evidence: Evidence, policy: Policy) -> Claim:
    """Ask for an update where the last watch of the champion raised an alert."""
    if evidence.watched_at is None:
        return Claim(
            Finding(
                "drift",
                Verdict.INCONCLUSIVE,
                "production has not been watched since this champion came",
                passes_if="a look: instar watch",
            )
        )
    when = f"watched {max(0.0, evidence.now - evidence.watched_at) / DAY:.1f} days ago"
    gone_off = [one for one in evidence.watched if one.verdict is Verdict.FAIL]
    if not gone_off:
        return Claim(_quiet(evidence, when))
    first = gone_off[0]
    return Claim(
        Finding(
            "drift",
            Verdict.FAIL,
            f"{'; '.join(one.message for one in gone_off)} ({when})",
            measured=first.measured,
            limit=first.limit,
            unit=first.unit,
            interval=first.interval,
            n=first.n,
            passes_if="a successor, or a later watch in which it is quiet",
        ),
        at=evidence.watched_at,
    )


def _quiet(evidence: Evidence, when: str) -> Finding:
    """Say that nothing has gone off; what was not measured is not quiet."""
    unsure = [one for one in evidence.watched if one.enforced and one.verdict is not Verdict.PASS]
    if not unsure and evidence.watched:
        said = f"no signal of production has gone off, {when}"
        return Finding("drift", Verdict.PASS, said, measured=0.0, limit=0.0, unit="signals")
    told = "; ".join(f"{one.code}: {one.message}" for one in unsure) or "no signals"
    return Finding(
        "drift",
        Verdict.INCONCLUSIVE,
        f"no signal of production has gone off, but not all could tell ({told}), {when}",
        passes_if=next((one.passes_if for one in unsure if one.passes_if), "a look: instar watch"),
    )
