"""What a kind of augmentation is: a way to move an image, or to make a row out of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from instar.core.data import Preprocessing, Task, TaskKind
from instar.core.policy import AugmentRule
from instar.stages.train.rows import Rows

Size: TypeAlias = tuple[int, int]
"""Height and width of an image, in pixels."""
Move: TypeAlias = Callable[[int, Size, AugmentRule, torch.Generator], torch.Tensor]
"""Draw where each pixel of n new images is taken from: (n, 3, 3); see `warp`."""
Draw: TypeAlias = Callable[[torch.Tensor, torch.Generator], Rows]
"""Make a row of each of those at places (m,): m rows, without a teacher."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Say which of a network's call arguments is what; None where there is none.

    The first `scaled` numbers are numbers, those behind them marks of categories, 0 or 1.
    """

    numbers: int | None = None
    scaled: int = 0
    categories: int | None = None
    image: int | None = None

    @classmethod
    def of(cls, how: Preprocessing, task: Task) -> Layout:
        """Read it from the preprocessing.

        Example:
            >>> from instar.core.data import ImageColumn, NumberColumn
            >>> how = Preprocessing((NumberColumn("x", 0.0, 1.0, 0.0),), (),
            ...                     ImageColumn("photo", 8, 8, "L", 1.0, 0.0))
            >>> Layout.of(how, Task(TaskKind.BINARY, "y", ("no", "yes")))
            Layout(numbers=0, scaled=1, categories=None, image=1)
        """
        spec = how.spec(task)
        there = [bool(spec.numbers), bool(spec.categories), spec.image is not None]
        place = [sum(there[:i]) if is_there else None for i, is_there in enumerate(there)]
        return cls(place[0], len(how.numbers), place[1], place[2])


@dataclass(frozen=True, slots=True)
class Pool:
    """The rows that others are made of, and what is known of them.

    `groups` are the places of those of one class each, (n,); only classes of which rows are made.
    """

    rows: Rows
    groups: tuple[torch.Tensor, ...]
    layout: Layout
    rule: AugmentRule


Make: TypeAlias = Callable[[Pool], Draw]
"""Look at the rows once, and say how one is made of them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to augment: it has a `move` of images, or it can `make` rows of any sort.

    `needs` are what it needs of the data, one of image, number or nothing; `tasks` are the kinds
    of task whose labels it can carry along.
    """

    needs: str
    tasks: frozenset[TaskKind]
    move: Move | None = None
    make: Make | None = None


EVERY = frozenset(TaskKind)


def uniform(shape: tuple[int, ...], random: torch.Generator, reach: float = 1.0) -> torch.Tensor:
    """Draw numbers from -reach to reach."""
    return (torch.rand(shape, generator=random) * 2 - 1) * reach


def straight(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Stretch along the sides, (n,) each: (n, 3, 3)."""
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))
