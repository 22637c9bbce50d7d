"""Weight interpolation: somewhere between champion and successor, chosen on validation rows."""

from __future__ import annotations

import torch
from torch import nn

from instar.core.finding import Finding, Verdict
from instar.core.policy import TrainPolicy
from instar.models.predict import logits
from instar.stages.train import losses
from instar.stages.train.loop import State
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows

WEIGHTS = tuple(tenth / 10 for tenth in range(3, 11))
"""How much of the successor: 0.3, 0.4, ... 1."""


def interpolate(ground: Ground, policy: TrainPolicy) -> Part:
    """Choose champion + w (successor - champion) by the loss on fresh and on old validation rows.

    Each side's loss counts in units of the champion's, so both weigh the same; the larger w wins
    a tie.

    Source:
        Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT).
    """
    if not policy.interpolate:
        return Part()
    loss = ground.loss or losses.choose(policy.loss, ground.task.kind)
    sides = [rows for rows in (ground.valid, ground.old_valid) if rows is not None]

    def judge(net: nn.Module, state: State) -> list[float]:
        net.load_state_dict(state)
        answers = [torch.from_numpy(logits(net, rows.inputs)) for rows in sides]
        return [loss(a, rows.labels).item() for a, rows in zip(answers, sides, strict=True)]

    def finish(net: nn.Module, successor: State) -> tuple[State, Finding]:
        before = judge(net, ground.champion)
        scores = []
        for weight in WEIGHTS:
            now = judge(net, between(ground.champion, successor, weight))
            scores.append(sum(n / max(b, 1e-12) for n, b in zip(now, before, strict=True)))
        _, best = min((score, -weight) for score, weight in zip(scores, WEIGHTS, strict=True))
        return between(ground.champion, successor, -best), _finding(-best, scores, sides)

    return Part(finish=finish)


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


def _finding(weight: float, scores: list[float], sides: list[Rows]) -> Finding:
    return Finding(
        "interpolation",
        Verdict.PASS,
        f"{weight:.1f} of the way from the champion to the trained weights has the least loss on "
        "validation rows, fresh" + (" and old" if len(sides) > 1 else ""),
        measured=weight,
        unit="share of the way",
        n=sum(len(rows) for rows in sides),
        enforced=False,
        picture={
            "kind": "lines",
            "x": list(WEIGHTS),
            "series": [{"name": "loss", "y": [float(f"{score:.4g}") for score in scores]}],
            "x_label": "share of the way",
            "y_label": "loss, in the champion's",
        },
    )
