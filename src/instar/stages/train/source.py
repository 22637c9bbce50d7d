"""Where the rows of a training come from, and how an epoch's batches are dealt from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from instar.stages.train.course import Course
from instar.stages.train.rows import Rows


class Source(Protocol):
    """Where the rows of a training come from; `fresh` of them are gone through once an epoch."""

    @property
    def fresh(self) -> int: ...

    def deal(self, order: torch.Generator, course: Course) -> Iterator[tuple[Rows, torch.Tensor]]:
        """Deal the batches of an epoch: rows, and the batch's places among them, (b,)."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """Rows that are held where they are computed with: fresh ones first, then replayed ones."""

    rows: Rows
    fresh: int

    def deal(self, order: torch.Generator, course: Course) -> Iterator[tuple[Rows, torch.Tensor]]:
        place = self.rows.labels.device
        for places in batches(order, self.fresh, len(self.rows), course):
            yield self.rows, places.to(place)


@dataclass(frozen=True, slots=True)
class Brought:
    """Rows that are brought to the device batch by batch, since they do not lie there."""

    source: Source
    place: torch.device

    @property
    def fresh(self) -> int:
        return self.source.fresh

    def deal(self, order: torch.Generator, course: Course) -> Iterator[tuple[Rows, torch.Tensor]]:
        for rows, places in self.source.deal(order, course):
            fresh = len(places) if rows.fresh is None else int((places < rows.fresh).sum())
            batch = replace(rows.take(places), fresh=fresh)
            yield batch.to(self.place), torch.arange(len(places), device=self.place)


def batches(
    order: torch.Generator, fresh: int, rows: int, course: Course
) -> Iterator[torch.Tensor]:
    """Deal all fresh rows into equal batches, each joined by its share of the replayed ones.

    Replayed rows are used up before one comes twice.
    """
    replayed = rows - fresh
    share = course.replayed(fresh) if replayed else 0
    steps = course.steps(fresh)
    dealt = torch.randperm(fresh, generator=order).tensor_split(steps)
    decks = math.ceil(steps * share / replayed) if share else 0
    drawn = [fresh + torch.randperm(replayed, generator=order) for _ in range(decks)]
    replay = torch.split(torch.cat(drawn), share) if drawn else ()
    for step, batch in enumerate(dealt):
        yield torch.cat([batch, replay[step]]) if replay else batch
