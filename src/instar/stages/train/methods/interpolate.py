"""Weight interpolation: somewhere between champion and successor, chosen on validation rows."""

from __future__ import annotations

from torch import nn

from instar.core.finding import Finding, Verdict
from instar.core.policy import TrainPolicy
from instar.models.tasks import lesson_of
from instar.models.weights import State
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows
from instar.stats.metrics import deciding

WEIGHTS = tuple(tenth / 10 for tenth in range(3, 11))
"""How much of the successor: 0.3, 0.4, ... 1."""


def interpolate(ground: Ground, policy: TrainPolicy) -> Part:
    """Choose champion + w (successor - champion) by the loss on fresh and on old validation rows.

    Each side's loss counts in units of the champion's, so both weigh the same. An error in the
    unit of the data counts in that of fresh rows on both sides: where the champion hardly errs on
    old rows, a share of that would outweigh anything to be gained. The larger w wins a tie.

    Source:
        Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT).
    """
    if not policy.interpolate:
        return Part()
    sides = sides_of(ground)

    def judge(net: nn.Module, state: State) -> list[float]:
        net.load_state_dict(state)
        lesson = lesson_of(ground.task)
        return [lesson.judged(net, part.inputs, part.labels, ground.loss)[1] for part in sides]

    def finish(net: nn.Module, successor: State) -> tuple[State, Finding]:
        before = judge(net, ground.champion)
        if deciding(ground.task).relative:
            before = before[:1] * len(before)
        scores = []
        for weight in WEIGHTS:
            now = judge(net, between(ground.champion, successor, weight))
            scores.append(sum(n / max(b, 1e-12) for n, b in zip(now, before, strict=True)))
        _, best = min((score, -weight) for score, weight in zip(scores, WEIGHTS, strict=True))
        state = between(ground.champion, successor, -best)
        why = "has the least loss on validation rows, fresh" + (" and old" * (len(sides) > 1))
        count = sum(len(rows) for rows in sides)
        return state, told(-best, why, count, scores, "loss, in the champion's")

    return Part(finish=finish)


def sides_of(ground: Ground) -> list[Rows]:
    """List the rows to choose on: fresh ones, and old ones where there are any."""
    return [rows for rows in (ground.valid, ground.old_valid) if rows is not None]


def between(champion: State, successor: State, weight: float) -> State:
    """Interpolate the floating-point tensors; counters are the successor's.

    Example:
        >>> import torch
        >>> between({"w": torch.tensor([0.0])}, {"w": torch.tensor([2.0])}, 0.5)["w"].item()
        1.0
    """
    return {
        name: champion[name].lerp(tensor, weight) if tensor.is_floating_point() else tensor
        for name, tensor in successor.items()
    }


def told(weight: float, why: str, rows: int, scores: list[float], what: str) -> Finding:
    """Say how far the way was gone, and why."""
    return Finding(
        "interpolation",
        Verdict.PASS,
        f"{weight:.1f} of the way from the champion to the trained weights {why}",
        measured=weight,
        unit="share of the way",
        n=rows,
        enforced=False,
        picture={
            "kind": "lines",
            "x": list(WEIGHTS),
            "series": [{"name": what, "y": [float(f"{score:.4g}") for score in scores]}],
            "x_label": "share of the way",
            "y_label": what,
        }
        if scores
        else {},
    )
