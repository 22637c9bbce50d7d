"""What the champion's layers cost, and how they do: sizes, times, dead units, what they overfit."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch.nn import functional

from instar.core.finding import Finding, Verdict
from instar.core.records import Layer
from instar.models import analyse
from instar.models.overfitting import Gap, Sample, gaps
from instar.models.tasks import lesson_of
from instar.stages.plan.evidence import Evidence, Seen

_ANALYSED = 1_024  # rows
_DEAD = 0.5  # share of dead units from which a layer is called sick
_OVERFIT = 0.1  # share of the labels' variance, explained where it was learnt and not elsewhere
_SLOW = 0.5  # share of a row's time from which a layer is named


@dataclass(frozen=True, slots=True)
class Looked:
    """The layers, in their order, and how much more some of them know of rows they learnt from."""

    layers: tuple[Layer, ...] = ()
    gaps: Mapping[str, Gap] = field(default_factory=dict)


def look(evidence: Evidence) -> Looked:
    """Look into the champion, on fresh rows; for overfitting on old ones and the holdout."""
    inputs = tuple(part[:_ANALYSED].numpy() for part in evidence.fresh.inputs)
    layers = analyse.layers(evidence.net, inputs)
    found = _gaps(evidence)
    known = {name: gap.value for name, gap in found.items()}
    return Looked(tuple(replace(one, overfit=known.get(one.name)) for one in layers), found)


def _gaps(evidence: Evidence) -> dict[str, Gap]:
    if evidence.holdout is None:
        return {}
    learnt, unseen = (_sample(evidence, rows) for rows in (evidence.old, evidence.holdout))
    if learnt is None or unseen is None:
        return {}
    return gaps(evidence.net, learnt, unseen, evidence.seed)


def _sample(evidence: Evidence, rows: Seen) -> Sample | None:
    """Lay labels out as columns of numbers; None where a row has more than a row of them."""
    truth = lesson_of(evidence.task).labels(rows.labels)
    if truth.dim() == 1:
        truth = functional.one_hot(truth, len(evidence.task.classes))
    return Sample(rows.inputs, truth.float()) if truth.dim() == 2 else None


def findings(looked: Looked) -> list[Finding]:
    """Say what is wrong with layers; none of it decides."""
    found = [_dead_units(looked.layers)]
    if looked.gaps:
        found.append(_overfitted(looked.gaps))
    if slow := _slow(looked.layers):
        found.append(slow)
    return found


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
        picture=_bars(known, _DEAD),
    )


def _overfitted(known: Mapping[str, Gap]) -> Finding:
    worst = max(known, key=lambda name: known[name].value)
    gap = known[worst]
    verdict = Verdict.PASS if gap.value <= _OVERFIT else Verdict.INCONCLUSIVE
    if gap.low > _OVERFIT:
        verdict = Verdict.FAIL
    more = [name for name, one in known.items() if one.low > _OVERFIT and name != worst]
    beside = f"; also {', '.join(more)}" if more else ""
    return Finding(
        "overfitted_layers",
        verdict,
        f"{worst} explains {100 * max(0.0, gap.value):.0f} % more of the labels' variance where it "
        f"learnt them than on its holdout, the most of {len(known)} layers{beside}",
        measured=gap.value,
        limit=_OVERFIT,
        unit="share of the variance",
        passes_if=""
        if verdict is Verdict.PASS
        else "train.dropout or train.weight_decay with plan.strategy: full, or more rows",
        enforced=False,
        picture=_bars({name: one.value for name, one in known.items()}, _OVERFIT),
    )


def _slow(layers: tuple[Layer, ...]) -> Finding | None:
    total, work = sum(one.time_us for one in layers), sum(one.flops for one in layers)
    if not total:
        return None
    slowest = max(layers, key=lambda one: one.time_us)
    share = slowest.time_us / total
    flops = f" and {100 * slowest.flops / work:.0f} % of its FLOPs" if work else ""
    return Finding(
        "slow_layers",
        Verdict.PASS if share <= _SLOW else Verdict.INCONCLUSIVE,
        f"{slowest.name} takes {100 * share:.0f} % of a row's {total:.3g} microseconds{flops}, "
        f"the most of {len(layers)} layers",
        measured=share,
        limit=_SLOW,
        unit="share of the time",
        passes_if="" if share <= _SLOW else "a narrower layer, if latency matters",
        enforced=False,
        picture=_bars({one.name: one.time_us / total for one in layers if one.time_us}, _SLOW),
    )


def _bars(values: Mapping[str, float], limit: float) -> dict[str, object]:
    return {
        "kind": "bars",
        "items": [{"label": name, "value": float(f"{v:.4g}")} for name, v in values.items()],
        "limit": limit,
        "unit": "share",
    }
