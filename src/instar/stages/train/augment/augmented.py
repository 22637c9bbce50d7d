"""A training's rows, joined in each batch by rows that are made of the fresh ones.

They are made as they are dealt, anew in each epoch, by a generator that comes from the one the
epoch is dealt from. A training that is cut off deals its epoch again, and so do all processes of a
team: each sees the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch

from instar.core.data import Task
from instar.core.policy import AugmentRule
from instar.stages.train.augment.kind import Draw, Kind, Layout, Pool
from instar.stages.train.augment.rarity import Quotas, quotas
from instar.stages.train.augment.warp import warped
from instar.stages.train.course import Course
from instar.stages.train.rows import Rows, join
from instar.stages.train.source import Source
from instar.stages.train.stream import plain

After = Callable[[Rows], Rows]
"""What is done to rows that were made, on the processor: teachers are asked, for one."""


@dataclass(frozen=True, slots=True)
class Augment:
    """What a method asks for: rows by these `kinds`, `ratio` for each fresh one."""

    kinds: Sequence[Kind]
    layout: Layout
    rule: AugmentRule
    task: Task
    ratio: float
    after: tuple[After, ...] = ()

    def joining(self, source: Source, pool: Rows, after: Sequence[After] = ()) -> Source:
        """Let rows made of those of a pool join a source's batches; none where none are wanted."""
        known = quotas(pool, self.task, self.rule)
        if not known.ratio:
            return source
        place = pool.labels.device
        groups = tuple(part.to(place) for part in known.groups())
        seen = Pool(pool, groups, self.layout, self.rule)
        moves = [kind.move for kind in self.kinds if kind.move]
        draws = [kind.make(seen) for kind in self.kinds if kind.make]
        if moves:
            draws.append(warped(seen, moves, self.task.kind))
        return Augmented(source, known, tuple(draws), place, (*self.after, *after))


@dataclass(frozen=True, slots=True)
class Augmented:
    """Another source's rows, and behind the fresh ones of each batch those that are made.

    Each is made by one of the `draws`, chosen by chance.
    """

    source: Source
    quotas: Quotas
    draws: tuple[Draw, ...]
    place: torch.device
    after: tuple[After, ...] = ()

    @property
    def fresh(self) -> int:
        return self.source.fresh

    def deal(self, order: torch.Generator, course: Course) -> Iterator[tuple[Rows, torch.Tensor]]:
        own = torch.Generator().manual_seed(int(torch.randint(1 << 62, (), generator=order)))
        wanted = round(self.quotas.ratio * self.fresh)
        shares = self.quotas.drawn(wanted, own).tensor_split(course.steps(self.fresh))
        for (rows, places), share in zip(self.source.deal(order, course), shares, strict=True):
            if not len(share):
                yield rows, places
                continue
            is_old = places >= (len(rows) if rows.fresh is None else rows.fresh)
            made = join(plain(rows.take(places[~is_old])), self.made(share, own))
            made = replace(made, fresh=len(made))
            if is_old.any():
                made = join(made, plain(rows.take(places[is_old])))
            yield made, torch.arange(len(made), device=places.device)

    def made(self, places: torch.Tensor, random: torch.Generator) -> Rows:
        """Make a row of each of those at `places`, (m,)."""
        which = torch.randint(len(self.draws), (len(places),), generator=random)
        sides = [
            draw(places[which == number].to(self.place), random)
            for number, draw in enumerate(self.draws)
            if (which == number).any()
        ]
        rows = plain(reduce(join, sides))
        if not self.after:
            return rows
        rows = rows.to(torch.device("cpu"))
        for then in self.after:
            rows = then(rows)
        return rows.to(self.place)
