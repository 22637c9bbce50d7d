"""Images moved, and with them what is said of their places: masks and boxes.

A move is a matrix (3, 3) from a place of the new image to the place of the old one that is seen
there, in halves of the sides from the middle: (-1, -1) is the upper left corner, (1, 1) the lower
right one. Moves after each other are one product, so that pixels are read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch.nn import functional

from instar.core.data import BOX, VOID, TaskKind
from instar.stages.train.augment.kind import Draw, Move, Pool
from instar.stages.train.rows import Rows

_LEFT = 0.25  # of its area must a box keep, or it is no object any more


def warped(pool: Pool, moves: Sequence[Move], kind: TaskKind) -> Draw:
    """Make rows whose images are moved, each by a draw of its own, and their labels with them."""
    place = pool.layout.image or 0
    bare, rule = Rows(pool.rows.inputs, pool.rows.labels), pool.rule

    def draw(places: torch.Tensor, random: torch.Generator) -> Rows:
        rows = bare.take(places)
        old = rows.inputs[place]
        size = (old.shape[2], old.shape[3])
        drawn = (move(len(old), size, rule, random) for move in moves)
        where = reduce(torch.matmul, drawn).to(old.device)  # (m, 3, 3)
        inputs = [*rows.inputs]
        inputs[place] = image(old, where)
        labels = rows.labels
        if kind is TaskKind.SEGMENTATION:
            labels = mask(labels, where)
        elif kind is TaskKind.DETECTION:
            labels = boxes(labels, where, size)
        return Rows(tuple(inputs), labels)

    return draw


def image(old: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Read images (n, c, h, w) between their pixels; beyond their edge, the edge goes on.

    Example:
        >>> still = torch.eye(3)[None]
        >>> image(torch.tensor([[[[1.0, 2.0]]]]), still * torch.tensor([[-1.0], [1], [1]])).tolist()
        [[[[2.0, 1.0]]]]
    """
    return functional.grid_sample(
        old, _grid(where, old), mode="bilinear", padding_mode="border", align_corners=False
    )


def mask(old: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Read masks (n, h, w) at the nearest pixel; beyond the edge nothing is known."""
    numbered = old[:, None].float() + 1  # 0 is what the library puts beyond the edge
    read = functional.grid_sample(
        numbered, _grid(where, numbered), mode="nearest", padding_mode="zeros", align_corners=False
    )[:, 0]
    return torch.where(read == 0, VOID, read - 1).to(old.dtype)


def boxes(old: torch.Tensor, where: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Move boxes (n, objects, 5) along; of those that leave the image, what is left in it.

    One of which less than a quarter is left is dropped. The moves keep the sides upright.
    """
    height, width = size
    sides = old.new_tensor([width, height])
    corners = old[..., :BOX].reshape(*old.shape[:2], 2, 2) / sides * 2 - 1  # (n, objects, 2, 2)
    forth = torch.linalg.inv(where)
    moved = corners * forth[:, None, None, [0, 1], [0, 1]] + forth[:, None, None, :2, 2]
    moved = (moved + 1) / 2 * sides
    low, high = moved.amin(dim=-2), moved.amax(dim=-2)  # (n, objects, 2)
    whole = (high - low).prod(dim=-1)
    low, high = (torch.minimum(part.clamp(min=0), sides) for part in (low, high))
    left = (high - low).prod(dim=-1)
    kept = (old[..., BOX] > 0) & (left > 0) & (left >= _LEFT * whole)
    made = torch.cat([low, high, old[..., BOX:]], dim=-1)
    return torch.where(kept[..., None], made, 0.0)


def _grid(where: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    return functional.affine_grid(where[:, :2], list(old.shape), align_corners=False)
