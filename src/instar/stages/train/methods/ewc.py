"""Elastic weight consolidation: weights that mattered for old rows are pulled back hardest."""

from __future__ import annotations

import torch
from torch.func import functional_call, grad, vmap

from instar.core.policy import TrainPolicy
from instar.models.predict import place_of
from instar.models.weights import State
from instar.stages.train.course import Anchor
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows

WEIGHT = 100.0
_ROWS, _CHUNK = 1_024, 64


def ewc(ground: Ground, policy: TrainPolicy) -> Part:
    """Penalise the distance to the champion's weights, each by its Fisher information.

    Measured on replayed rows; without any there is nothing to measure on, and nothing is added. Nor
    is it for a detector, whose losses are not told row by row.

    Source:
        Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks".
    """
    if ground.replay is None or not ground.task.kind.teachable:
        return Part()
    weight = WEIGHT if policy.ewc is None else policy.ewc
    return Part(anchors=(Anchor(weight, ground.champion, information(ground, ground.replay)),))


def information(ground: Ground, replay: Rows) -> State:
    """Average the squared gradient of each row's loss, at the champion's weights."""
    net, place = ground.net.eval(), place_of(ground.net)
    rows = replay.take(torch.arange(min(_ROWS, len(replay)))).to(place)
    champion = {name: tensor.to(place) for name, tensor in ground.champion.items()}
    weights = {name: champion[name] for name, _ in net.named_parameters()}
    others = {name: t for name, t in champion.items() if name not in weights}

    def one(weights: State, label: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        out = functional_call(net, {**weights, **others}, tuple(part[None] for part in inputs))
        return ground.loss(out, label[None])

    each = vmap(grad(one), in_dims=(None, 0, *[0] * len(rows.inputs)))
    total = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    for start in range(0, len(rows), _CHUNK):
        part = rows.take(torch.arange(start, min(start + _CHUNK, len(rows))))
        for name, gradient in each(weights, part.labels, *part.inputs).items():
            total[name] += gradient.square().sum(dim=0) / len(rows)
    return total
