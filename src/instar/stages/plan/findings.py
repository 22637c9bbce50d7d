"""What the planner found, as findings: only `worth` decides; the rest is reported."""

from __future__ import annotations

from collections.abc import Mapping

from instar.core.finding import Finding, Verdict
from instar.core.policy import PlanPolicy
from instar.core.records import Past
from instar.stages.plan import layers as inside
from instar.stages.plan import past as earlier
from instar.stages.plan.evidence import Evidence
from instar.stages.plan.layers import Looked
from instar.stages.plan.probe import Probe
from instar.stages.plan.rule import Choice
from instar.stats.bootstrap import Estimate
from instar.stats.metrics import Metric


def findings(
    choice: Choice,
    tried: Probe | None,
    fallen: Estimate | None,
    looked: Looked,
    seen: Evidence | None,
    past: Past,
    policy: PlanPolicy,
) -> tuple[Finding, ...]:
    found = [_worth(choice, tried, policy), *inside.findings(looked)]
    if seen is not None:
        found.append(_probe(tried, seen.metric.name, policy))
    if seen is not None and fallen is not None:
        found.append(_drop(fallen, seen.metric))
    metric = seen.metric.name if seen is not None else ""
    found += [one for one in (earlier.finding(past), earlier.history(past, metric)) if one]
    return tuple(found)


def _worth(choice: Choice, tried: Probe | None, policy: PlanPolicy) -> Finding:
    kept = choice.strategy == "keep"
    return Finding(
        "worth",
        Verdict.FAIL if kept else Verdict.PASS,
        f"{choice.strategy}: {choice.reason}",
        measured=tried.best.gain.value if tried else None,
        limit=policy.min_gain if tried else None,
        interval=tried.best.gain.interval if tried else None,
        n=tried.best.gain.n if tried else None,
        passes_if="fresh rows that differ more from the old ones, or plan.strategy: incremental"
        if kept
        else "",
    )


def _probe(tried: Probe | None, metric: str, policy: PlanPolicy) -> Finding:
    if tried is None:
        return Finding(
            "probe",
            Verdict.INCONCLUSIVE,
            "no probe: the network changes",
            passes_if="the champion's own network",
            enforced=False,
        )
    best = tried.best.gain
    low, high = best.interval.low, best.interval.high
    verdict = Verdict.PASS if low > 0 else Verdict.INCONCLUSIVE
    names = {
        "the refitted head": tried.head,
        "all layers, fine-tuned for a moment": tried.body,
        "moved statistics of normalisation": tried.statistics,
    }
    reaches = {name: reach for name, reach in names.items() if reach}
    told = (
        f"{name}: {100 * reach.gain.value:.2f} points gained, {100 * reach.forgetting:.2f} lost on "
        f"old rows, {100 * reach.flips:.1f} % of the answers flipped"
        for name, reach in reaches.items()
    )
    return Finding(
        "probe",
        verdict if high >= policy.min_gain else Verdict.FAIL,
        f"{metric} on fresh rows it has not seen, after learning half of them; {'; '.join(told)}",
        measured=best.value,
        limit=policy.min_gain,
        unit=metric,
        interval=best.interval,
        n=best.n,
        passes_if="" if low > 0 else "more fresh labels, or a larger change",
        enforced=False,
        picture=_intervals(
            {name: reach.gain for name, reach in reaches.items()}, limit=policy.min_gain
        ),
    )


def _drop(fallen: Estimate, metric: Metric) -> Finding:
    sure, far = fallen.interval.low > 0, 100 * abs(fallen.value)
    message = (
        f"the champion's {metric.name} on fresh rows is {far:.3g} % "
        f"{'worse' if fallen.value > 0 else 'better'} than on its holdout"
        if metric.relative
        else f"the champion is {far:.2f} points of {metric.name} "
        f"{'worse' if fallen.value > 0 else 'better'} on fresh rows than on its holdout"
    )
    return Finding(
        "drop",
        Verdict.FAIL if sure else Verdict.PASS,
        message,
        measured=fallen.value,
        limit=0.0,
        unit=metric.name,
        interval=fallen.interval,
        n=fallen.n,
        passes_if="a successor" if sure else "",
        enforced=False,
        picture=_intervals({"fall on fresh rows": fallen}, limit=None),
    )


def _intervals(estimates: Mapping[str, Estimate], limit: float | None) -> dict[str, object]:
    rows = []
    for label, one in estimates.items():
        ends = {"value": one.value, "low": one.interval.low, "high": one.interval.high}
        rows.append({"label": label, **{k: float(f"{100 * x:.4g}") for k, x in ends.items()}})
    return {
        "kind": "intervals",
        "rows": rows,
        "zero": 0,
        "limit": None if limit is None else 100 * limit,
        "unit": "points",
    }
