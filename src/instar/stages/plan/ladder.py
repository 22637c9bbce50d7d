"""The ladder: which strategy follows when the sealed candidate of this one fails a gate.

A candidate that flips too much is repaired by the stable plan, one that forgot by going through
all rows, one that learnt too little by a full training: each once, as long as the budget lasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from instar.core.errors import IntegrityError
from instar.core.finding import Finding, Verdict
from instar.core.policy import PlanPolicy
from instar.core.records import Forecast, Plan, Rungs
from instar.core.update import next_rung
from instar.stages.plan.means import Means


class NoRung(IntegrityError):
    """Refuse to climb where the record of the last plan names nothing that follows."""

    code = "integrity.no_rung"

    def __init__(self, strategy: str) -> None:
        super().__init__("a strategy that follows", f"none after {strategy}", "instar audit verify")


REMEDIES: Mapping[str, tuple[str, ...]] = {
    "flips": ("incremental-stable", "warm"),
    "forgetting": ("incremental-stable", "warm", "full"),
    "metrics": ("warm", "full"),
    "limits": ("warm", "full"),
    "slices": ("warm", "full"),
}
"""What to try when a gate fails, by the gate's name, the cheapest first."""


def ladder(
    chosen: str,
    means: Means,
    forecasts: Mapping[str, Forecast],
    policy: PlanPolicy,
    members: int = 1,
) -> dict[str, tuple[str, ...]]:
    """Say for each gate which strategies follow its failure, in order; none, and it is left out.

    Only `auto` climbs. All candidates together stay within `policy.budget` full trainings, in
    sample passes; that of an ensemble is as many full trainings as it has `members`.

    Example:
        >>> from instar.models.strategies import Need
        >>> ladder("incremental", Means(frozenset(Need)), {}, PlanPolicy())["flips"]
        ('incremental-stable', 'warm')
    """
    if policy.strategy != "auto" or chosen == "keep":
        return {}
    left = _budget((chosen,), forecasts, policy, members)
    then = {}
    for gate, names in REMEDIES.items():
        new = [n for n in means.possible(names) if n != chosen and n in policy.strategies]
        if fits := _within(left, new, forecasts):
            then[gate] = fits
    return then


def climbed(rungs: Rungs, policy: PlanPolicy, members: int = 1) -> Plan:
    """Take the next rung: all that was measured before the first still stands.

    What was tried is told with its price.
    """
    last = rungs[-1].plan
    step = next_rung(last, rungs[-1].validation)
    if step is None:
        raise NoRung(last.strategy)
    refusal, strategy = step
    tried = (*last.tried, last.strategy)
    forecasts = {one.strategy: one for one in last.forecasts}
    reason = f"{refusal.code} refused the candidate of {last.strategy}: {refusal.message}"
    worth = Finding("worth", Verdict.PASS, f"{strategy}: {reason}")
    left = _budget((*tried, strategy), forecasts, policy, members)
    stands = [f for f in last.findings if f.code not in ("worth", "tried")]
    return replace(
        last,
        verdict=Verdict.PASS,
        findings=(worth, _told(rungs), *stands),
        strategy=strategy,
        reason=reason,
        then=_left(last.then, strategy, left, forecasts),
        tried=tried,
    )


def _told(rungs: Rungs) -> Finding:
    """Say what was tried before, what it gained, flipped and cost, and what refused it."""
    rows = []
    for rung in rungs:
        judged = rung.validation
        refused = [f.code for f in judged.findings if f.enforced and f.verdict is Verdict.FAIL]
        gain, flips = (judged.measured(code) for code in ("metrics:", "flips:fresh"))
        cpu_s = round(rung.training.cost.cpu_s, 2)
        rows.append([rung.plan.strategy, gain, flips, cpu_s, ", ".join(refused)])
    return Finding(
        "tried",
        Verdict.PASS,
        "; ".join(f"{row[0]}: {row[3]:.1f} CPU s, refused by {row[4]}" for row in rows),
        measured=float(len(rows)),
        unit="candidates",
        enforced=False,
        picture={
            "kind": "table",
            "columns": ["strategy", "gain", "flips", "CPU s", "refused by"],
            "rows": rows,
        },
    )


def _left(
    then: Mapping[str, tuple[str, ...]],
    taken: str,
    budget: float,
    forecasts: Mapping[str, Forecast],
) -> dict[str, tuple[str, ...]]:
    """Take a strategy out of the ladder, and what the budget does not reach any more."""
    rest = {gate: [n for n in names if n != taken] for gate, names in then.items()}
    fits = {gate: _within(budget, names, forecasts) for gate, names in rest.items()}
    return {gate: names for gate, names in fits.items() if names}


def _within(
    budget: float, names: Sequence[str], forecasts: Mapping[str, Forecast]
) -> tuple[str, ...]:
    """Take names in order as long as the budget lasts."""
    taken: list[str] = []
    for name in names:
        budget -= _passes(name, forecasts)
        if budget < 0:
            break
        taken.append(name)
    return tuple(taken)


def _budget(
    spent: Sequence[str], forecasts: Mapping[str, Forecast], policy: PlanPolicy, members: int
) -> float:
    """Say how many sample passes are left after these strategies."""
    whole = policy.budget * (_passes("full", forecasts) / members or float("inf"))
    return whole - sum(_passes(name, forecasts) for name in spent)


def _passes(name: str, forecasts: Mapping[str, Forecast]) -> float:
    return forecasts[name].passes if name in forecasts else 0.0
