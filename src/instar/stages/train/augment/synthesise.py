"""Synthesise: a new row between a row and one of the rows of its class that are nearest to it."""

from __future__ import annotations

import torch

from instar.core.data import TaskKind
from instar.stages.train.augment.kind import Draw, Kind, Pool
from instar.stages.train.rows import Rows

_AMONG = 4_096  # rows of one class, at most, among which neighbours are sought
_CHUNK = 512


def between(pool: Pool) -> Draw:
    """Draw numbers anywhere between a row's and a neighbour's; categories are those of the nearer.

    What stands as 0 or 1 for a category is one. A class with a single row gives that row again.
    """
    rows, layout = pool.rows, pool.layout
    near = neighbours(pool)  # (n, k)

    def draw(places: torch.Tensor, random: torch.Generator) -> Rows:
        chosen = torch.randint(near.shape[1], (len(places),), generator=random)
        way = torch.rand(len(places), generator=random).to(places.device)  # (m,)
        others = near[places, chosen.to(places.device)]
        first, second = (Rows(rows.inputs, rows.labels).take(part) for part in (places, others))
        inputs = [_nearer(a, b, way) for a, b in zip(first.inputs, second.inputs, strict=True)]
        if layout.numbers is not None:
            here, there = (
                side.inputs[layout.numbers][:, : layout.scaled] for side in (first, second)
            )
            inputs[layout.numbers][:, : layout.scaled] = torch.lerp(here, there, way[:, None])
        return Rows(tuple(inputs), first.labels)

    return draw


def _nearer(first: torch.Tensor, second: torch.Tensor, way: torch.Tensor) -> torch.Tensor:
    return torch.where((way < 0.5).reshape(-1, *[1] * (first.dim() - 1)), first, second)


def neighbours(pool: Pool) -> torch.Tensor:
    """List the places of each row's nearest rows of its class, int64 (n, k); others' are their own.

    Where a class has fewer others than k, they come more than once.
    """
    count = len(pool.rows)
    near = torch.arange(count, device=pool.rows.labels.device)[:, None]
    near = near.repeat(1, pool.rule.neighbours)
    for places in pool.groups:
        wanted = min(pool.rule.neighbours, len(places) - 1)
        if not wanted:
            continue
        # Evenly spread over the class, so that the same rows always have the same neighbours.
        some = torch.linspace(0, len(places) - 1, min(len(places), _AMONG)).long()
        among = places[some.to(places.device)]
        weigh = _weight(pool, places)
        for part in torch.split(places, _CHUNK):
            apart = _distances(pool, part, among, weigh)
            apart[part[:, None] == among[None]] = torch.inf
            nearest = among[apart.topk(wanted, dim=1, largest=False).indices]
            repeats = -(-pool.rule.neighbours // wanted)
            near[part] = nearest.repeat(1, repeats)[:, : pool.rule.neighbours]
    return near


def _weight(pool: Pool, places: torch.Tensor) -> torch.Tensor:
    """Say how far apart two categories are: the median deviation of the class, squared."""
    numbers = pool.rows.inputs[pool.layout.numbers or 0][places, : pool.layout.scaled]
    return numbers.std(dim=0).median().square()


def _distances(
    pool: Pool, part: torch.Tensor, among: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Measure squared distances, (p, a)."""
    inputs, layout = pool.rows.inputs, pool.layout
    numbers = inputs[layout.numbers or 0]
    here, there = numbers[part], numbers[among]
    apart = torch.cdist(here[:, : layout.scaled], there[:, : layout.scaled]).square()
    # Of a category that differs, two marks do.
    marks = torch.cdist(here[:, layout.scaled :], there[:, layout.scaled :]).square()
    apart += weight * marks / 2
    if layout.categories is not None:
        codes = inputs[layout.categories]
        for column in codes.unbind(dim=1):
            apart += weight * (column[part][:, None] != column[among][None])
    return apart


synthesise = Kind("number", frozenset({TaskKind.BINARY, TaskKind.MULTICLASS}), make=between)
"""
Source:
    Chawla et al. 2002, "SMOTE: Synthetic Minority Over-sampling Technique"; categories as in its
    section 6.1 (SMOTE-NC), but a new row takes them from one of the two rows it lies between, so
    that they go together.
"""
