"""What the planner found, as findings: only `worth` decides; the rest is reported."""

from __future__ import annotations

import statistics

from instar.core.finding import Finding, Verdict
from instar.core.policy import PlanPolicy
from instar.core.records import Layer, Past
from instar.stages.plan import past as earlier
from instar.stages.plan.evidence import Evidence
from instar.stages.plan.probe import Probe
from instar.stages.plan.rule import Choice
from instar.stats.bootstrap import Estimate

_DEAD = 0.5  # share of dead units from which a layer is called sick


def findings(
    choice: Choice,
    tried: Probe | None,
    fallen: Estimate | None,
    layers: tuple[Layer, ...],
    seen: Evidence | None,
    past: Past,
    policy: PlanPolicy,
) -> tuple[Finding, ...]:
    found = [_worth(choice, tried, policy), _dead_units(layers)]
    if seen is not None:
        found.append(_probe(tried, seen.metric.name, policy))
    if seen is not None and fallen is not None:
        found.append(_drop(fallen, seen.metric.name))
    if regret := earlier.finding(past):
        found.append(regret)
    return tuple(found)


def _worth(choice: Choice, tried: Probe | None, policy: PlanPolicy) -> Finding:
    kept = choice.strategy == "keep"
    return Finding(
        "worth",
        Verdict.FAIL if kept else Verdict.PASS,
        f"{choice.strategy}: {choice.reason}",
        measured=tried.gain.value if tried else None,
        limit=policy.min_gain if tried else None,
        interval=tried.gain.interval if tried else None,
        n=tried.gain.n if tried else None,
        passes_if="fresh rows that differ more from the old ones, or plan.strategy: incremental"
        if kept
        else "",
    )


def _probe(tried: Probe | None, metric: str, policy: PlanPolicy) -> Finding:
    if tried is None:
        return Finding(
            "probe",
            Verdict.INCONCLUSIVE,
            "no probe: the network changes, or does not end in a Linear layer",
            passes_if="a network that ends in nn.Linear",
            enforced=False,
        )
    low, high = tried.gain.interval.low, tried.gain.interval.high
    verdict = Verdict.PASS if low > 0 else Verdict.INCONCLUSIVE
    return Finding(
        "probe",
        verdict if high >= policy.min_gain else Verdict.FAIL,
        f"the refitted head gains {100 * tried.gain.value:.2f} points of {metric} on fresh rows "
        f"it has not seen, loses {100 * tried.forgetting:.2f} on old ones and flips "
        f"{100 * tried.flips:.1f} % of the answers",
        measured=tried.gain.value,
        limit=policy.min_gain,
        unit=metric,
        interval=tried.gain.interval,
        n=tried.gain.n,
        passes_if="" if low > 0 else "more fresh labels, or a larger change",
        enforced=False,
        picture=_interval_picture("gain of the refitted head", tried.gain, policy.min_gain),
    )


def _drop(fallen: Estimate, metric: str) -> Finding:
    sure = fallen.interval.low > 0
    return Finding(
        "drop",
        Verdict.FAIL if sure else Verdict.PASS,
        f"the champion is {100 * abs(fallen.value):.2f} points of {metric} "
        f"{'worse' if fallen.value > 0 else 'better'} on fresh rows than on its holdout",
        measured=fallen.value,
        limit=0.0,
        unit=metric,
        interval=fallen.interval,
        n=fallen.n,
        passes_if="a successor" if sure else "",
        enforced=False,
        picture=_interval_picture("fall on fresh rows", fallen, None),
    )


def _dead_units(layers: tuple[Layer, ...]) -> Finding:
    known = {layer.name: layer.dead for layer in layers if layer.dead is not None}
    worst_layer = max(known, key=lambda name: known[name], default="")
    dead = known.get(worst_layer, 0.0)
    mean = statistics.fmean(known.values()) if known else 0.0
    return Finding(
        "dead_units",
        Verdict.PASS if dead <= _DEAD else Verdict.FAIL,
        f"{100 * mean:.0f} % of the units behind a ReLU never fire; at most {100 * dead:.0f} % in "
        f"one layer ({worst_layer})"
        if known
        else "no units behind a ReLU were found",
        measured=dead,
        limit=_DEAD,
        unit="share of a layer",
        passes_if="" if dead <= _DEAD else "a full training, or a lower rate",
        enforced=False,
        picture={
            "kind": "bars",
            "items": [{"label": name, "value": float(f"{v:.4g}")} for name, v in known.items()],
            "limit": _DEAD,
            "unit": "share",
        },
    )


def _interval_picture(label: str, estimate: Estimate, limit: float | None) -> dict[str, object]:
    value, low, high = (
        float(f"{100 * x:.4g}")
        for x in (estimate.value, estimate.interval.low, estimate.interval.high)
    )
    return {
        "kind": "intervals",
        "rows": [{"label": label, "value": value, "low": low, "high": high}],
        "zero": 0,
        "limit": None if limit is None else 100 * limit,
        "unit": "points",
    }
