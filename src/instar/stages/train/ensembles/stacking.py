"""Stacking: a dense layer over the answers of all members, fitted on rows none learnt from."""

from __future__ import annotations

import torch
from torch import nn

from instar.models.ensemble import beside, mean_layer
from instar.models.head import refit
from instar.models.tasks import lesson_of
from instar.stages.train.ensembles.kind import Joined, Kind, Team


def fitted(team: Team) -> Joined:
    """Fit the layer on the members' logits for validation rows, fresh and old, near their mean.

    The value is cross-fitted: each half of the rows is judged by a layer fitted on the other.
    """
    judge, task = team.judge, team.base.start.ground.task
    asked = [beside(team.answers(side.inputs)) for side in judge.sides]  # each (n, members * k)
    labels = torch.cat([side.labels for side in judge.sides])
    rows, start = torch.cat(asked), mean_layer(len(team.ended), task.outputs)

    def fit(places: torch.Tensor) -> nn.Module:
        truth = lesson_of(task.kind).truth(labels[places])
        return refit(start, rows[places], truth, task.kind)

    order = torch.randperm(
        len(rows), generator=torch.Generator().manual_seed(team.base.course.seed)
    )
    halves = order.tensor_split(2)
    out = torch.empty(len(rows), task.outputs)
    with torch.no_grad():
        for half, other in (halves, halves[::-1]):
            out[half] = fit(other)(rows[half])
    value = judge.of(torch.split(out, [len(one) for one in asked]))
    layer = {f"layer.{name}": t.detach() for name, t in fit(order.sort().values).named_parameters()}
    return Joined(layer, value, "each half of the rows by a layer fitted on the other")


stacking = Kind("answer through a dense layer over their logits", "linear", fitted)
"""
Source:
    Wolpert 1992, "Stacked Generalization"; Ting and Witten 1999, "Issues in Stacked
    Generalization", for a linear layer over what classifiers answer.
"""
