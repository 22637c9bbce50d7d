"""Go on from a network's weights for a moment, on a copy: what a short training would find."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from instar.core.data import TaskKind
from instar.models.recipes import Recipe
from instar.models.tasks import lesson_of


def fine_tuned(
    net: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    labels: NDArray[Any],
    kind: TaskKind,
    recipe: Recipe,
    seed: int,
) -> nn.Module:
    """Train a copy of a network on rows alone, its rate falling to nothing along a cosine.

    Args:
        inputs: The network's call arguments, each (n, ...).
        labels: As the task has them, (n,) or (n, k).
    Returns:
        The copy, in evaluation mode.
    """
    lesson, tuned = lesson_of(kind), copy.deepcopy(net).train()
    truth = lesson.labels(labels)
    optimizer = torch.optim.AdamW(tuned.parameters(), lr=recipe.lr, fused=True)
    steps, order = recipe.steps(len(truth)), torch.Generator().manual_seed(seed)
    rates = (0.5 * (1 + math.cos(math.pi * step / steps)) * recipe.lr for step in range(steps))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # dropout draws
        for _ in range(recipe.epochs):
            order_of_rows = torch.randperm(len(truth), generator=order)
            for i in order_of_rows.tensor_split(steps // recipe.epochs):
                optimizer.param_groups[0]["lr"] = next(rates)
                some = [part.index_select(0, i) for part in inputs]
                loss = lesson.cost(tuned, some, truth.index_select(0, i))
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
    return tuned.eval()
